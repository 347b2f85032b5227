"""The least-squares problem of a layer, from the second moments of its columns and targets.

What depends on the Hessian only is computed once, and serves for all targets of the same columns.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.best_weight import (
    USUAL_DAMPING,
    choose_damping,
    choose_damping_by_samples,
    factored,
    solved,
)
from onnx_evoq.quantize.grid import FactoredHessian
from onnx_evoq.quantize.moments import LayerSamples, Moments, MomentSums, corrected_bias

_POSITIONS_OF_A_KNOWN_HESSIAN = 200  # per column
_POSITIONS_PER_COLUMN = 32  # with fewer, a usual damping is too little


class _Hessians:
    """What depends on the Hessian of all samples."""

    def __init__(self, hessian: Float64Array) -> None:
        self.of_all = hessian
        self._product: Float64Array | None = None
        self._factored: dict[float, FactoredHessian] = {}

    def times(self, matrix: Float64Array) -> Float64Array:
        """``W H`` of the layer's weight W, (groups, rows, columns), which is always the same."""
        if self._product is None:
            self._product = matrix @ self.of_all
        return self._product

    def factored(self, damping: float) -> FactoredHessian:
        """``H + d I`` with its Cholesky factor."""
        if damping not in self._factored:
            self._factored = {damping: factored(self.of_all, damping)}
        return self._factored[damping]


@dataclass(frozen=True, eq=False)
class MomentEquations:
    """A layer's weight, and the second moments of its columns and targets.

    Attributes:
        matrix: W, (groups, rows, columns).
        samples: the columns and targets; with their moments.
        sums: the moments of the present targets.
        hessians: what depends on the columns only.
    """

    matrix: Float64Array
    samples: LayerSamples
    sums: MomentSums
    hessians: _Hessians

    @classmethod
    def of(cls, matrix: Float64Array, samples: LayerSamples) -> "MomentEquations":
        """The equations of a layer for its own targets.

        Args:
            matrix: W, (groups, rows, columns).
            samples: its columns and targets.
        """
        sums = samples.sums
        # Where samples judge by themselves, nothing but H is needed of the products of columns.
        moments = sums.last_moments() if samples.judges else sums.moments()
        return cls(matrix, samples, sums, _Hessians(moments.hessian))

    def behind_activation(self, weight: Float64Array, bias: Float64Array) -> "MomentEquations":
        """The same for targets that leave errors to the activation that hides them.

        Args:
            weight: the layer's current weight, (groups, rows, columns).
            bias: the layer's current bias, (groups, rows), or (uses, groups, rows).
        """
        return replace(self, sums=self.samples.moments_behind_activation(weight, bias))

    def choose_damping(self) -> float:
        """The damping of W* that fits unseen samples best; infinite for W itself."""
        if self.samples.judges:
            return choose_damping_by_samples(self.matrix, self._moments, self.samples)
        folds = self.sums.folds(self.hessians.of_all)
        return choose_damping(self.matrix, folds, heldout=self.sums.heldout)

    @property
    def knows_hessian(self) -> bool:
        """Whether there are so many positions for each column that H is that of other samples."""
        return bool(self.sums.count >= _POSITIONS_OF_A_KNOWN_HESSIAN * self.matrix.shape[2])

    def usual_damping(self) -> float:
        """The damping of W* without a comparison; W* is W if there are few positions."""
        many = self.sums.count >= _POSITIONS_PER_COLUMN * self.matrix.shape[2]
        return USUAL_DAMPING if many else float("inf")

    def best_weight(self, damping: float) -> Float64Array:
        """W* for a damping, a share of the mean of H's diagonal, (groups, rows, columns)."""
        if not np.isfinite(damping):
            return self.matrix
        residual = self._moments.cross - self.hessians.times(self.matrix)  # C - W H
        return np.asarray(self.matrix + solved(self.hessians.of_all, damping, residual))

    def hessian(self, damping: float) -> FactoredHessian:
        """H + d I, for the search of codes."""
        return self.hessians.factored(damping)

    def bias(self, matrix: Float64Array) -> Float64Array:
        """The bias that keeps the mean output with other weights.

        (groups, rows), or (uses, groups, rows) if there are several uses.
        """
        return corrected_bias(matrix, self._moments)

    def spread(self, matrix: Float64Array) -> Float32Array:
        """The standard deviation of each channel of the output with other weights, (channels,)."""
        power = ((matrix @ self._moments.hessian) * matrix).sum(axis=2)  # (groups, rows)
        return np.asarray(np.sqrt(np.maximum(power, 0)).ravel(), np.float32)

    @cached_property
    def _moments(self) -> Moments:
        return self.sums.moments(self.hessians.of_all)
