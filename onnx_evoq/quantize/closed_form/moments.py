"""Second moments of a layer's columns and targets, gathered chunk by chunk.

What reconstruction needs of the data is H = E[x x^T] and C = E[t x^T], with the means taken off
where the layer has a bias to hold them. Products of a chunk are made in float32, of values from
which the first chunk's mean is taken, and summed in float64: so that no large mean hides a small
variance, and sums over millions of positions lose nothing. Chunks go to two folds in turn, so that
what was fitted to one can be judged on the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of columns x and targets t.

    Attributes:
        metric: H, (groups, columns, columns).
        cross: C, (groups, rows, columns).
        x_mean: (groups, columns).
        t_mean: (groups, rows).
        centred: whether H and C are without the means.
    """

    hessian: Float64Array
    cross: Float64Array
    x_mean: Float64Array
    t_mean: Float64Array
    centred: bool = True


@dataclass(eq=False)
class _Sums:
    """Float64Array over one fold, of values less the origin."""

    count: int
    x: Float64Array
    t: Float64Array
    xx: Float64Array
    tx: Float64Array


class MomentSums:
    """Gathers chunks of columns and targets.

    Example:
        >>> sums = MomentSums(centred=True)
        >>> x = np.array([[[1.0], [3.0]]], np.float32)  # (groups, positions, columns)
        >>> sums.add(x, 2 * x)
        >>> moments = sums.moments()
        >>> moments.hessian.item(), moments.cross.item(), moments.x_mean.item()
        (1.0, 2.0, 2.0)

    Args:
        centred: whether the means are taken off.
    """

    def __init__(self, centred: bool) -> None:
        self._centred = centred
        self._origin: tuple[Float32Array, Float32Array] | None = None
        self._folds: list[_Sums] = []
        self._chunks = 0
        self._room: Float32Array | None = None

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
        for group in range(len(x)):  # x.T @ x of one array is half the work to BLAS
            fold.xx[group] += x[group].T @ x[group]

    def with_targets(self, chunks: Iterable[tuple[Float32Array, Float32Array]]) -> "MomentSums":
        """The moments of the same columns and other targets.

        Args:
            chunks: columns and targets, chunk by chunk as they were added.
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
        """The columns less their origin, and the fold that the targets went to."""
        assert self._origin is not None
        if self._room is None or self._room.shape != columns.shape:
            self._room = np.empty_like(columns)
        # In memory that is there already: a new array of this size costs more than the sums.
        x = np.subtract(columns, self._origin[0][:, None], out=self._room)
        t = targets - self._origin[1][:, None]
        fold = self._folds[self._chunks % 2]
        self._chunks += 1
        fold.t += t.sum(axis=1, dtype=np.float64)
        fold.tx += t.transpose(0, 2, 1) @ x
        return x, fold

    @property
    def finite(self) -> bool:
        """Whether all values, and their products, were within the range of float32."""
        return all(
            bool(np.isfinite(sums).all()) for fold in self._folds for sums in (fold.xx, fold.tx)
        )

    def moments(self) -> Moments:
        """Of all chunks."""
        one, other = self._folds
        return self._of(
            _Sums(
                one.count + other.count, one.x + other.x, one.t + other.t,
                one.xx + other.xx, one.tx + other.tx,
            )
        )  # fmt: skip

    def folds(self) -> tuple[Moments, Moments] | None:
        """Of every other chunk each; None if there was only one."""
        return (self._of(self._folds[0]), self._of(self._folds[1])) if self._chunks > 1 else None

    def _start(self, columns: Float32Array, targets: Float32Array) -> None:
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

    def _of(self, sums: _Sums) -> Moments:
        assert self._origin is not None
        count = max(sums.count, 1)
        x, t = sums.x / count, sums.t / count
        hessian, cross = sums.xx / count, sums.tx / count
        if self._centred:
            hessian -= x[:, :, None] * x[:, None, :]
            cross -= t[:, :, None] * x[:, None, :]
        x_mean, t_mean = x + self._origin[0], t + self._origin[1]
        return Moments(hessian, cross, x_mean, t_mean, self._centred)
