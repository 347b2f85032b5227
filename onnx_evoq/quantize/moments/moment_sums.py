"""Second moments of a layer's columns and targets, gathered chunk by chunk.

Reconstruction needs H = E[x x^T] and C = E[t x^T], without the means if the layer has a bias to
hold them. The products of a chunk (`sums_of_chunk`) are computed in float32, after the first
chunk's mean is subtracted, so that no large mean hides a small variance. They are summed in
float64, so that sums over millions of positions stay exact enough. There are two folds, so that a
fit to one can be judged on the other: the second one holds samples that only judge, or every other
chunk.

A weight that a model uses several times has the moments of all uses together. Each use has means of
its own, since each has a bias of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices
from onnx_evoq.quantize.moments.moments import Moments
from onnx_evoq.quantize.moments.sums_of_chunk import (
    ChunkSums,
    TargetSums,
    chunk_sums,
    first_origins,
)

_COLUMNS_AT_ONCE = 256


@dataclass(eq=False)
class _Sums:
    """Sums over the chunks of one fold, after the origins of their uses are subtracted.

    Attributes:
        counts: number of positions, (uses,).
        x: sum of x, (uses, groups, columns).
        t: sum of t, (uses, groups, rows).
        xx: sum of x x^T, (groups, columns, columns).
        tx: sum of t x^T, (groups, rows, columns).
    """

    counts: Indices
    x: Float64Array
    t: Float64Array
    xx: Float64Array
    tx: Float64Array

    @property
    def count(self) -> int:
        """Number of positions at all uses."""
        return int(self.counts.sum())

    @property
    def means(self) -> tuple[Float64Array, Float64Array]:
        """Those of x and t at each use, in their shapes."""
        count = np.maximum(self.counts, 1)[:, None, None]
        return self.x / count, self.t / count


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
        centred: whether the means are subtracted, as for a layer with a bias; for each use of the
            weight, if there are several.
        heldout: as above. Else every other chunk of a use goes to the second fold.
    """

    def __init__(self, centred: bool | Sequence[bool], *, heldout: bool = False) -> None:
        self._centred = (centred,) if isinstance(centred, bool) else tuple(centred)
        self.heldout = heldout
        uses = len(self._centred)
        # Of columns and targets, by use.
        self._origins: list[tuple[Float32Array, Float32Array] | None] = [None] * uses
        self._folds: list[_Sums] = []
        self._chunks = [0] * uses

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
        x = np.subtract(columns, self.origin()[:, None])
        self.add_from_origin(x, targets, heldout=heldout)
        return x

    def add_from_origin(
        self, x: Float32Array, targets: Float32Array, *, heldout: bool = False, use: int = 0
    ) -> None:
        """Add a chunk of a use, whose columns are given minus `origin`; else as `add`."""
        t_origin = self.origins(use)[1]
        self.add_sums(
            chunk_sums(x, lambda some: targets[:, some], t_origin), heldout=heldout, use=use
        )

    def add_sums(self, sums: ChunkSums, *, heldout: bool = False, use: int = 0) -> None:
        """Add a chunk of a use by its sums, from which the origins were subtracted."""
        fold = self._add_targets(sums.of_targets, heldout, use)
        fold.counts[use] += sums.count
        fold.x[use] += sums.x
        fold.xx += sums.xx

    def origin(self, use: int = 0) -> Float32Array:
        """What is subtracted from the columns of a use, (groups, columns); zero if no means are.

        It is known once `start` was called for that use.
        """
        return self.origins(use)[0]

    def origins(self, use: int) -> tuple[Float32Array, Float32Array]:
        """What is subtracted from columns and targets of a use, (groups, columns), (groups, rows).

        It is known once `start` was called for that use.
        """
        origins = self._origins[use]
        assert origins is not None
        return origins

    def with_targets(self, chunks: Iterable[tuple[TargetSums, bool, int]]) -> "MomentSums":
        """The moments of the same columns with other targets.

        Args:
            chunks: the sums of the new targets (`target_sums`), in the order in which the chunks
                were added; whether they only judge; and their use.
        """
        other = MomentSums(self._centred, heldout=self.heldout)
        other._origins = self._origins
        other._folds = [
            replace(fold, t=np.zeros_like(fold.t), tx=np.zeros_like(fold.tx))
            for fold in self._folds
        ]
        for sums, heldout, use in chunks:
            other._add_targets(sums, heldout, use)
        return other

    def _add_targets(self, sums: TargetSums, heldout: bool, use: int) -> _Sums:
        """Add the targets to the chunk's fold, and return it."""
        fold = self._folds[int(heldout) if self.heldout else self._chunks[use] % 2]
        self._chunks[use] += 1
        fold.t[use] += sums.t
        fold.tx += sums.tx
        return fold

    @property
    def count(self) -> int:
        """The number of positions, without those that only judge."""
        return sum(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """That number at each use; () before the first chunk."""
        folds = self._folds[: 1 if self.heldout else 2]
        return tuple(int(sum(counts)) for counts in zip(*(f.counts for f in folds), strict=True))

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
                one.counts + other.counts, one.x + other.x, one.t + other.t,
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
        self._subtract_means(hessian, fold)
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

    def start(
        self, columns: Sequence[Float32Array], targets: Sequence[Float32Array], use: int = 0
    ) -> None:
        """Set the origin of a use, unless it is set: the means of its first chunk, or zero.

        Args:
            columns: those of the first chunk, in one array or several.
            targets: likewise.
            use: which one.
        """
        if self._origins[use] is not None:
            return
        self.start_at(*first_origins(columns, targets, centred=self._centred[use]), use)

    def start_at(self, x: Float32Array, t: Float32Array, use: int = 0) -> None:
        """Set the origin of a use, unless it is set.

        Args:
            x: of its columns, (groups, columns), as `first_origins` gives it.
            t: of its targets, (groups, rows).
            use: which one.
        """
        if self._origins[use] is not None:
            return
        self._origins[use] = x, t
        (groups, width), rows, uses = x.shape, t.shape[1], len(self._chunks)
        if self._folds:
            return
        self._folds = [
            _Sums(
                np.zeros(uses, np.intp), np.zeros((uses, groups, width)),
                np.zeros((uses, groups, rows)), np.zeros((groups, width, width)),
                np.zeros((groups, rows, width)),
            )
            for _ in range(2)
        ]  # fmt: skip

    def _moments_of(self, sums: _Sums, hessian: Float64Array | None = None) -> Moments:
        cross = sums.tx / sums.count
        for count, x, t, centred in zip(sums.counts, *sums.means, self._centred, strict=True):
            if centred:
                cross -= count / sums.count * t[:, :, None] * x[:, None, :]
        if hessian is None:
            hessian = sums.xx / sums.count
            self._subtract_means(hessian, sums)
        x_mean, t_mean = sums.means
        for use, origins in enumerate(self._origins):
            if origins is not None:
                x_mean[use] += origins[0]
                t_mean[use] += origins[1]
        if len(x_mean) == 1:
            return Moments(hessian, cross, x_mean[0], t_mean[0], self._centred[0])
        return Moments(hessian, cross, x_mean, t_mean, self._centred)

    def _subtract_means(self, hessian: Float64Array, sums: _Sums) -> None:
        """Subtract the products of the means of x, in parts, to need no second matrix like H."""
        for count, x, centred in zip(sums.counts, sums.means[0], self._centred, strict=True):
            share = count / sums.count
            for start in range(0, x.shape[1] if centred else 0, _COLUMNS_AT_ONCE):
                some = slice(start, start + _COLUMNS_AT_ONCE)
                hessian[:, some] -= share * x[:, some, None] * x[:, None, :]
