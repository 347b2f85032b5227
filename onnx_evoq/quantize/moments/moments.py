"""Second moments of a layer's columns and targets, gathered chunk by chunk.

Reconstruction needs H = E[x x^T] and C = E[t x^T], without the means if the layer has a bias to
hold them. The products of a chunk are computed in float32, after the first chunk's mean is
subtracted, so that no large mean hides a small variance. They are summed in float64, so that sums
over millions of positions stay exact enough. There are two folds, so that a fit to one can be
judged on the other: the second one holds samples that only judge, or every other chunk.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array

_VALUES_AT_ONCE = 2**18  # targets that fit the processor's cache
_LEAST_POSITIONS = 256
_COLUMNS_AT_ONCE = 256


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
        >>> centred = sums.add(x, 2 * x)
        >>> moments = sums.moments()
        >>> moments.hessian.item(), moments.cross.item(), moments.x_mean.item()
        (1.0, 2.0, 2.0)

    Attributes:
        heldout: whether the chunks of the second fold only judge, and do not count as samples.

    Args:
        centred: whether the means are subtracted, as for a layer with a bias.
        heldout: as above. Else every other chunk goes to the second fold.
    """

    def __init__(self, centred: bool, *, heldout: bool = False) -> None:
        self._centred = centred
        self.heldout = heldout
        self._origins: tuple[Float32Array, Float32Array] | None = None  # of columns and targets
        self._folds: list[_Sums] = []
        self._chunks = 0

    def add(
        self, columns: Float32Array, targets: Float32Array, *, heldout: bool = False
    ) -> Float32Array:
        """Add a chunk.

        Args:
            columns: (groups, positions, columns).
            targets: (groups, positions, rows).
            heldout: whether it only judges.

        Returns:
            The columns minus `origin`, which is the mean of the first chunk's columns.
        """
        self.start([columns], [targets])
        x = np.subtract(columns, self.origin[:, None])
        self.add_from_origin(x, targets, heldout=heldout)
        return x

    def add_from_origin(
        self, x: Float32Array, targets: Float32Array, *, heldout: bool = False
    ) -> None:
        """Add a chunk whose columns are given minus `origin`; else as `add`."""
        fold = self._add_targets(x, lambda some: targets[:, some], heldout)
        fold.count += x.shape[1]
        fold.x += x.sum(axis=1, dtype=np.float64)
        if len(x) == 1:  # BLAS computes x.T @ x of one array in half the time
            fold.xx[0] += x[0].T @ x[0]
        else:
            fold.xx += x.transpose(0, 2, 1) @ x

    @property
    def origin(self) -> Float32Array:
        """What is subtracted from all columns, (groups, columns); zero if no means are."""
        assert self._origins is not None
        return self._origins[0]

    def with_targets(
        self, chunks: Iterable[tuple[Float32Array, Callable[[slice], Float32Array], bool]]
    ) -> "MomentSums":
        """The moments of the same columns with other targets.

        Args:
            chunks: the columns minus `origin`, as `add` returned them, in the order in which they
                were added; the new targets of some of their positions, which are asked for a few at
                a time, so that they stay in the processor's cache; and whether they only judge.
        """
        other = MomentSums(self._centred, heldout=self.heldout)
        other._origins = self._origins
        other._folds = [
            replace(fold, t=np.zeros_like(fold.t), tx=np.zeros_like(fold.tx))
            for fold in self._folds
        ]
        for x, targets_of, heldout in chunks:
            other._add_targets(x, targets_of, heldout)
        return other

    def _add_targets(
        self, x: Float32Array, targets_of: Callable[[slice], Float32Array], heldout: bool
    ) -> _Sums:
        """Add the targets to the chunk's fold, and return it."""
        assert self._origins is not None
        fold = self._folds[int(heldout) if self.heldout else self._chunks % 2]
        self._chunks += 1
        groups, positions, _ = x.shape
        at_once = max(_LEAST_POSITIONS, _VALUES_AT_ONCE // (groups * fold.t.shape[1]))
        for start in range(0, positions, at_once):
            some = slice(start, min(start + at_once, positions))
            t = targets_of(some) - self._origins[1][:, None]
            fold.t += t.sum(axis=1, dtype=np.float64)
            fold.tx += t.transpose(0, 2, 1) @ x[:, some]
        return fold

    @property
    def count(self) -> int:
        """The number of positions, without those that only judge."""
        return sum(fold.count for fold in self._folds[: 1 if self.heldout else 2])

    @property
    def finite(self) -> bool:
        """Whether all values and their products are in the range of float32."""
        return all(
            bool(np.isfinite(sums).all()) for fold in self._folds for sums in (fold.xx, fold.tx)
        )

    def moments(self, hessian: Float64Array | None = None) -> Moments:
        """The moments of all chunks but those that only judge.

        Args:
            hessian: H, if it is known from other targets of the same columns.
        """
        one, other = self._folds
        if self.heldout:
            return self._moments_of(one, hessian)
        products = one.xx + other.xx if hessian is None else one.xx
        return self._moments_of(
            _Sums(
                one.count + other.count, one.x + other.x, one.t + other.t,
                products, one.tx + other.tx,
            ),
            hessian,
        )  # fmt: skip

    def last_moments(self) -> Moments:
        """As `moments`, where a wide layer's H takes the place of its sums, to save memory.

        Nothing can be added after that, and H must be given to `moments` and `folds`.
        """
        fold = self._folds[0]
        assert self.heldout  # else the second fold has samples, too
        fold.xx /= fold.count
        hessian, fold.xx = fold.xx, np.empty((0, 0, 0))
        self._subtract_means(hessian, fold.x / fold.count)
        return self._moments_of(fold, hessian)

    def folds(self, hessian: Float64Array | None = None) -> tuple[Moments, Moments] | None:
        """The moments of the two folds; None if one of them is empty.

        Args:
            hessian: H of `moments`, if it is known: that of the first fold if the second one only
                judges.
        """
        one, other = self._folds
        if not one.count or not other.count:
            return None
        known = hessian if self.heldout else None
        return self._moments_of(one, known), self._moments_of(other)

    def start(self, columns: Sequence[Float32Array], targets: Sequence[Float32Array]) -> None:
        """Set the origin, unless it is set: the means of the first chunk, if means are subtracted.

        Args:
            columns: those of the first chunk, in one array or several.
            targets: likewise.
        """
        if self._origins is not None:
            return
        groups, _, width = columns[0].shape
        rows = targets[0].shape[2]
        self._origins = (
            (_mean_of(columns), _mean_of(targets))
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

    def _moments_of(self, sums: _Sums, hessian: Float64Array | None = None) -> Moments:
        assert self._origins is not None
        x, t = sums.x / sums.count, sums.t / sums.count
        cross = sums.tx / sums.count
        if self._centred:
            cross -= t[:, :, None] * x[:, None, :]
        if hessian is None:
            hessian = sums.xx / sums.count
            self._subtract_means(hessian, x)
        return Moments(hessian, cross, x + self._origins[0], t + self._origins[1], self._centred)

    def _subtract_means(self, hessian: Float64Array, x: Float64Array) -> None:
        """Subtract the products of the means of x, in parts, to need no second matrix like H."""
        if self._centred:
            for start in range(0, x.shape[1], _COLUMNS_AT_ONCE):
                some = slice(start, start + _COLUMNS_AT_ONCE)
                hessian[:, some] -= x[:, some, None] * x[:, None, :]


def _mean_of(arrays: Sequence[Float32Array]) -> Float32Array:
    """The mean over the positions of several arrays, (groups, positions, n) each: (groups, n)."""
    total = sum(array.sum(axis=1) for array in arrays)
    return np.asarray(total / sum(array.shape[1] for array in arrays), np.float32)
