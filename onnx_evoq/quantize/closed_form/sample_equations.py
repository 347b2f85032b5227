"""The least-squares problem of a layer with no more positions than columns.

Then the Hessian has a rank of no more than the number n of positions, and W* is computed in the
space of the positions. For the search of codes, the Hessian is a matrix only if the positions are
more than half as many as the columns. With the columns as the rows of X, the targets T, the errors
E = T - X W^T of the layer's own weight, and K = X X^T / n,

    W* = W + E^T (K + d I)^-1 X / n

which is `best_weight`'s W* by Woodbury's identity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.best_weight import (
    MOST_COLUMNS_IN_DOUBLE,
    MOST_COLUMNS_OF_W_IN_DOUBLE,
    best_of_dampings,
    damping_of_all,
    rows_for_all,
)
from onnx_evoq.quantize.grid import FactoredHessian, Hessian, SampleHessian
from onnx_evoq.quantize.moments import (
    HeldoutLosses,
    LayerSamples,
    TargetsBehind,
    less_means,
    transposed,
)

_LEAST_POWER = 1e-30


def in_space_of_positions(positions: int, columns: int) -> bool:
    """Whether W* of a layer is computed in the space of its positions."""
    return positions <= columns


class _Columns:
    """The columns at a few positions, and what depends on them only, which is computed once.

    Args:
        x: (groups, n, columns), minus their means if the layer has a bias.
    """

    def __init__(self, x: Float32Array) -> None:
        self.x = x
        self._hessians: dict[float, Hessian] = {}

    @cached_property
    def kernel(self) -> Float64Array:
        """K, (groups, n, n)."""
        return _kernel(self.x, self.x)

    @cached_property
    def mean_of_diagonal(self) -> Float64Array:
        """The mean of H's diagonal, (groups,); it is not 0."""
        trace = np.trace(self.kernel, axis1=1, axis2=2)
        return np.asarray(np.maximum(trace / self.x.shape[2], _LEAST_POWER))

    def hessian(self, damping: float) -> Hessian:
        """H + d I; as a matrix where that takes less work."""
        if damping not in self._hessians:
            added = damping * self.mean_of_diagonal
            few = 2 * self.x.shape[1] <= self.x.shape[2]
            self._hessians = {
                damping: SampleHessian(self.x, added) if few else self._as_matrix(added)
            }
        return self._hessians[damping]

    def _as_matrix(self, added: Float64Array) -> FactoredHessian:
        products = np.stack([x.T @ x for x in self.x])
        return FactoredHessian(products.astype(np.float64) / self.x.shape[1], added)


@dataclass(frozen=True, eq=False)
class SampleEquations:
    """A layer's weight, and its columns and targets at few positions.

    Attributes:
        matrix: W, (groups, rows, columns).
        samples: the columns and targets.
        columns: the columns minus their means if the layer has a bias.
        t: the present targets, (groups, n, rows), at each use of the weight.
        behind: gives them to samples that only judge; None for the layer's own targets.
    """

    matrix: Float64Array
    samples: LayerSamples
    columns: _Columns
    t: tuple[Float32Array, ...]
    behind: TargetsBehind | None = None

    @classmethod
    def of(cls, matrix: Float64Array, samples: LayerSamples) -> "SampleEquations":
        """The equations of a layer for its own targets.

        Args:
            matrix: W, (groups, rows, columns).
            samples: its columns and targets; all of them were kept.
        """
        columns = [chunk.columns for chunk in samples.together]
        x = less_means(columns, columns, samples.centred)
        return cls(matrix, samples, _Columns(x), tuple(chunk.targets for chunk in samples.together))

    def behind_activation(self, weight: Float64Array, bias: Float64Array) -> "SampleEquations":
        """The same for targets that leave errors to the activation that hides them.

        Args:
            weight: the layer's current weight, (groups, rows, columns).
            bias: the layer's current bias, (groups, rows), or (uses, groups, rows).
        """
        if not self.samples.hides_errors:
            return self
        biases = bias.reshape(-1, 1, *weight.shape[:2]).swapaxes(1, 2).astype(np.float32)
        behind = TargetsBehind(transposed(weight), biases, self.samples.activations)
        t = tuple(behind.targets(chunk) for chunk in self.samples.together)
        return replace(self, t=t, behind=behind)

    def choose_damping(self) -> float:
        """The damping of W* that fits unseen samples best; infinite for W itself.

        Samples that only judge do so with the bias that W* would have. Without them, one half of
        the positions judges the other: W* from the errors E_1 of one half changes those of the
        other, E_2, to ``E_2 - K_21 (K_11 + d I)^-1 E_1``, with K_21 = X_2 X_1^T / n_1.
        """
        if self.samples.judges:
            return self._damping_by_judges()
        some = rows_for_all(self.matrix)
        x, unseen = self._halves(self.columns.x)
        errors, unseen_errors = self._halves(self._errors[:, :, some])
        if not x.shape[1]:
            return float("inf")
        within, across = _kernel(x, x), _kernel(unseen, x)

        def loss(damping: float) -> float:
            left = unseen_errors
            if np.isfinite(damping):
                added = damping * self.columns.mean_of_diagonal
                left = left - across @ _solved(within, added, errors, MOST_COLUMNS_IN_DOUBLE)
            return float(np.square(left).sum())

        return damping_of_all(best_of_dampings(lambda dampings: [loss(each) for each in dampings]))

    def _damping_by_judges(self) -> float:
        """The damping of W* that fits the samples that only judge best."""
        some = rows_for_all(self.matrix)
        errors, matrix = self._errors[:, :, some], self.matrix[:, some]
        x_mean, t_mean = (each.astype(np.float32) for each in self._means)

        def weight(damping: float) -> Float32Array:
            moved = self._moved(damping, errors, MOST_COLUMNS_IN_DOUBLE)
            return transposed(matrix if moved is None else matrix + moved)

        def losses(dampings: Sequence[float]) -> list[float]:
            weights = [weight(each) for each in dampings]
            asked = HeldoutLosses(weights, some, x_mean, t_mean[:, :, some], self.behind)
            return self.samples.heldout_losses(asked)

        return best_of_dampings(losses)

    def _halves(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The first half of the positions of all uses, and the second one."""
        halves: tuple[list[NDArray[Any]], list[NDArray[Any]]] = ([], [])
        start = 0
        for t in self.t:
            middle, end = start + t.shape[1] // 2, start + t.shape[1]
            halves[0].append(values[:, start:middle])
            halves[1].append(values[:, middle:end])
            start = end
        if len(self.t) == 1:
            return halves[0][0], halves[1][0]
        first, second = (np.concatenate(parts, axis=1) for parts in halves)
        return first, second

    @property
    def knows_hessian(self) -> bool:
        """Whether there are so many positions for each column that H is that of other samples."""
        return False

    def usual_damping(self) -> float:
        """The damping of W* without a comparison: with so few positions, W* is W."""
        return float("inf")

    def best_weight(self, damping: float) -> Float64Array:
        """W* for a damping, a share of the mean of H's diagonal, (groups, rows, columns)."""
        moved = self._moved(damping, self._errors, MOST_COLUMNS_OF_W_IN_DOUBLE)
        return self.matrix if moved is None else np.asarray(self.matrix + moved)

    def _moved(
        self, damping: float, errors: Float64Array, most_in_double: int
    ) -> Float64Array | None:
        """``E^T (K + d I)^-1 X / n`` for the errors of some rows; None for an infinite damping."""
        if not np.isfinite(damping):
            return None
        added = damping * self.columns.mean_of_diagonal
        solved = _solved(self.columns.kernel, added, errors, most_in_double)
        change = solved.transpose(0, 2, 1).astype(np.float32) @ self.columns.x
        return np.asarray(change / self.columns.x.shape[1])

    def hessian(self, damping: float) -> Hessian:
        """H + d I, for the search of codes."""
        return self.columns.hessian(damping)

    def bias(self, matrix: Float64Array) -> Float64Array:
        """The bias that keeps the mean output with other weights.

        (groups, rows), or (uses, groups, rows) if there are several uses.
        """
        x_mean, t_mean = self._means
        biases = t_mean - (matrix @ x_mean[..., None])[..., 0]
        return biases[0] if len(biases) == 1 else biases

    def spread(self, matrix: Float64Array) -> Float32Array:
        """The standard deviation of each channel of the output with other weights, (channels,)."""
        outputs = self.columns.x @ transposed(matrix)
        return np.asarray(np.sqrt(np.square(outputs).mean(axis=1)).ravel(), np.float32)

    @cached_property
    def _means(self) -> tuple[Float64Array, Float64Array]:
        """The means of columns and targets, (uses, groups, n); zero at a use without a bias."""
        columns = [chunk.columns for chunk in self.samples.together]
        x_mean, t_mean = (
            np.stack(
                [
                    np.mean(each, axis=1, dtype=np.float64)
                    if own and each.shape[1]
                    else np.zeros((len(each), each.shape[2]))
                    for each, own in zip(parts, self.samples.centred, strict=True)
                ]
            )
            for parts in (columns, self.t)
        )
        return x_mean, t_mean

    @cached_property
    def _errors(self) -> Float64Array:
        """E, (groups, n, rows)."""
        t = less_means(self.t, self.t, self.samples.centred)
        return np.asarray(t - self.columns.x @ transposed(self.matrix), np.float64)


def _solved(
    kernel: Float64Array, added: Float64Array, errors: Float64Array, most_in_double: int
) -> NDArray[np.floating]:
    """``(K + d I)^-1 E``, (groups, n, rows); of many positions in float32."""
    dtype: type[np.floating] = np.float64 if kernel.shape[1] <= most_in_double else np.float32
    damped: NDArray[np.floating] = kernel.astype(dtype)
    index = np.arange(kernel.shape[1])
    damped[:, index, index] = damped[:, index, index] + added[:, None]
    return np.linalg.solve(damped, errors.astype(dtype, copy=False))


def _kernel(one: Float32Array, other: Float32Array) -> Float64Array:
    """X_1 X_2^T / n_2, (groups, n_1, n_2)."""
    products = one @ other.transpose(0, 2, 1)
    return np.asarray(products.astype(np.float64) / other.shape[1])
