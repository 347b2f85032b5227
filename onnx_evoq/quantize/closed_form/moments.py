"""Second moments of a layer's columns and targets, gathered chunk by chunk.

Reconstruction needs H = E[x x^T] and C = E[t x^T], without the means if the layer has a bias to
hold them. The products of a chunk are computed in float32, after the first chunk's mean is
subtracted, so that no large mean hides a small variance. They are summed in float64, so that sums
over millions of positions stay exact enough. Chunks go to two folds in turn, so that a fit to one
fold can be judged on the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of columns x and targets t.

    Attributes:
        hessian: H, (groups, columns, columns).
        cross: C, (groups, rows, columns).
        x_mean: E[x], (groups, columns).
        t_mean: E[t], (groups, rows).
        centred: whether the means are subtracted in H and C.
    """

    hessian: Float64Array
    cross: Float64Array
    x_mean: Float64Array
    t_mean: Float64Array
    centred: bool = True


@dataclass(eq=False)
class _Sums:
    """Sums over the chunks of one fold, after the origin is subtracted.

    Attributes:
        count: number of positions.
        x: sum of x, (groups, columns).
        t: sum of t, (groups, rows).
        xx: sum of x x^T, (groups, columns, columns).
        tx: sum of t x^T, (groups, rows, columns).
    """

    count: int
    x: Float64Array
    t: Float64Array
    xx: Float64Array
    tx: Float64Array


class MomentSums:
    """Gathers the second moments of chunks of columns and targets.

    Example:
        >>> sums = MomentSums(centred=True)
        >>> x = np.array([[[1.0], [3.0]]], np.float32)  # (groups, positions, columns)
        >>> sums.add(x, 2 * x)
        >>> moments = sums.moments()
        >>> moments.hessian.item(), moments.cross.item(), moments.x_mean.item()
        (1.0, 2.0, 2.0)

    Args:
        centred: whether the means are subtracted, as for a layer with a bias.
    """

    def __init__(self, centred: bool) -> None:
        self._centred = centred
        self._origin: tuple[Float32Array, Float32Array] | None = None  # of columns and targets
        self._folds: list[_Sums] = []
        self._chunks = 0
        self._buffer: Float32Array | None = None

    def add(self, columns: Float32Array, targets: Float32Array) -> None:
        """Add a chunk.

        Args:
            columns: (groups, positions, columns).
            targets: (groups, positions, rows).
        """
        if self._origin is None:
            self._start(columns, targets)
        x, fold = self._add_targets(columns, targets)
        fold.count += x.shape[1]
        fold.x += x.sum(axis=1, dtype=np.float64)
        for group in range(len(x)):  # BLAS computes x.T @ x of one array in half the time
            fold.xx[group] += x[group].T @ x[group]

    def with_targets(self, chunks: Iterable[tuple[Float32Array, Float32Array]]) -> "MomentSums":
        """The moments of the same columns with other targets.

        Args:
            chunks: the columns and the new targets, in the chunks in which they were added.
        """
        other = MomentSums(self._centred)
        other._origin = self._origin
        other._folds = [
            replace(fold, t=np.zeros_like(fold.t), tx=np.zeros_like(fold.tx))
            for fold in self._folds
        ]
        for columns, targets in chunks:
            other._add_targets(columns, targets)
        return other

    def _add_targets(
        self, columns: Float32Array, targets: Float32Array
    ) -> tuple[Float32Array, _Sums]:
        """Add the targets to the next fold; return the columns minus their origin, and the fold."""
        assert self._origin is not None
        if self._buffer is None or self._buffer.shape != columns.shape:
            self._buffer = np.empty_like(columns)
        # The buffer is used again: a new array of this size costs more time than the sums.
        x = np.subtract(columns, self._origin[0][:, None], out=self._buffer)
        t = targets - self._origin[1][:, None]
        fold = self._folds[self._chunks % 2]
        self._chunks += 1
        fold.t += t.sum(axis=1, dtype=np.float64)
        fold.tx += t.transpose(0, 2, 1) @ x
        return x, fold

    @property
    def finite(self) -> bool:
        """Whether all values and their products are in the range of float32."""
        return all(
            bool(np.isfinite(sums).all()) for fold in self._folds for sums in (fold.xx, fold.tx)
        )

    def moments(self) -> Moments:
        """The moments of all chunks."""
        one, other = self._folds
        return self._moments_of(
            _Sums(
                one.count + other.count, one.x + other.x, one.t + other.t,
                one.xx + other.xx, one.tx + other.tx,
            )
        )  # fmt: skip

    def folds(self) -> tuple[Moments, Moments] | None:
        """The moments of every other chunk, and of the rest; None if there is only one chunk."""
        if self._chunks <= 1:
            return None
        return self._moments_of(self._folds[0]), self._moments_of(self._folds[1])

    def _start(self, columns: Float32Array, targets: Float32Array) -> None:
        """Set the origin (the first chunk's means, if they are subtracted) and empty folds."""
        groups, _, width = columns.shape
        rows = targets.shape[2]
        self._origin = (
            (columns.mean(axis=1), targets.mean(axis=1))
            if self._centred
            else (np.zeros((groups, width), np.float32), np.zeros((groups, rows), np.float32))
        )
        self._folds = [
            _Sums(
                0, np.zeros((groups, width)), np.zeros((groups, rows)),
                np.zeros((groups, width, width)), np.zeros((groups, rows, width)),
            )
            for _ in range(2)
        ]  # fmt: skip

    def _moments_of(self, sums: _Sums) -> Moments:
        assert self._origin is not None
        x, t = sums.x / sums.count, sums.t / sums.count
        hessian, cross = sums.xx / sums.count, sums.tx / sums.count
        if self._centred:
            hessian -= x[:, :, None] * x[:, None, :]
            cross -= t[:, :, None] * x[:, None, :]
        return Moments(hessian, cross, x + self._origin[0], t + self._origin[1], self._centred)
