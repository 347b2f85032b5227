"""The least-squares problem of a layer with no more positions than columns.

Then the Hessian has a rank of no more than the number n of positions, and W* is computed in the
space of the positions. For the search of codes, the Hessian is a matrix only if the positions are
more than half as many as the columns. With the columns as the rows of X, the targets T, the errors
E = T - X W^T of the layer's own weight, and K = X X^T / n,

    W* = W + E^T (K + d I)^-1 X / n

which is `best_weight`'s W* by Woodbury's identity.
"""

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
from onnx_evoq.quantize.moments import LayerSamples, SampleChunk, less_means, transposed

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
        heldout_t: those of the positions that only judge; () if there are none.
    """

    matrix: Float64Array
    samples: LayerSamples
    columns: _Columns
    t: tuple[Float32Array, ...]
    heldout_t: tuple[Float32Array, ...] = ()

    @classmethod
    def of(cls, matrix: Float64Array, samples: LayerSamples) -> "SampleEquations":
        """The equations of a layer for its own targets.

        Args:
            matrix: W, (groups, rows, columns).
            samples: its columns and targets; all of them were kept.
        """
        columns = [chunk.columns for chunk in samples.together]
        x = less_means(columns, columns, samples.centred)
        targets, heldout = (
            tuple(chunk.targets for chunk in chunks)
            for chunks in (samples.together, samples.heldout)
        )
        return cls(matrix, samples, _Columns(x), targets, heldout)

    def behind_activation(self, weight: Float64Array, bias: Float64Array) -> "SampleEquations":
        """The same for targets that leave errors to the activation that hides them.

        Args:
            weight: the layer's current weight, (groups, rows, columns).
            bias: the layer's current bias, (groups, rows), or (uses, groups, rows).
        """
        if not self.samples.hides_errors:
            return self
        biases = bias.reshape(-1, 1, *weight.shape[:2]).swapaxes(1, 2).astype(np.float32)

        def targets(given: SampleChunk) -> Float32Array:
            activation = self.samples.activations[given.use]
            if activation is None:
                return given.targets
            outputs = given.columns @ transposed(weight) + biases[given.use]
            return activation.targets(given.targets, outputs, given.shift)

        return replace(
            self,
            t=tuple(targets(chunk) for chunk in self.samples.together),
            heldout_t=tuple(targets(chunk) for chunk in self.samples.heldout),
        )

    def choose_damping(self) -> float:
        """The damping of W* that fits unseen samples best; infinite for W itself.

        W* from the errors E_1 at some positions changes those at others, E_2, to
        ``E_2 - K_21 (K_11 + d I)^-1 E_1``, with K_21 = X_2 X_1^T / n_1. The others are those that
        only judge, or one half of all.
        """
        some = rows_for_all(self.matrix)
        if self.heldout_t:
            x, errors = self.columns.x, self._errors[:, :, some]
            unseen, unseen_errors = self._heldout(some)
        else:
            x, unseen = self._halves(self.columns.x)
            errors, unseen_errors = self._halves(self._errors[:, :, some])
        count = x.shape[1]
        if not count:
            return float("inf")
        all_seen = count == self.columns.x.shape[1]
        within = self.columns.kernel if all_seen else _kernel(x, x)
        across = _kernel(unseen, x)
        mean = self.columns.mean_of_diagonal
        loss = float(np.square(unseen_errors).sum())

        def change(damping: float) -> float:
            solved = _solved(within, damping * mean, errors, MOST_COLUMNS_IN_DOUBLE)
            return float(np.square(unseen_errors - across @ solved).sum()) - loss

        best = best_of_dampings(change, loss)
        return best if self.heldout_t else damping_of_all(best)

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

    def _heldout(self, some: slice) -> tuple[Float32Array, Float64Array]:
        """The columns that only judge, and the errors of some rows there, as X and E are."""
        columns = [chunk.columns for chunk in self.samples.heldout]
        means = [chunk.columns for chunk in self.samples.together]
        x = less_means(columns, means, self.samples.centred)
        targets, t_means = ([t[:, :, some] for t in each] for each in (self.heldout_t, self.t))
        t = less_means(targets, t_means, self.samples.centred)
        return x, np.asarray(t - x @ transposed(self.matrix[:, some]), np.float64)

    @property
    def knows_hessian(self) -> bool:
        """Whether there are so many positions for each column that H is that of other samples."""
        return False

    def usual_damping(self) -> float:
        """The damping of W* without a comparison: with so few positions, W* is W."""
        return float("inf")

    def best_weight(self, damping: float) -> Float64Array:
        """W* for a damping, a share of the mean of H's diagonal, (groups, rows, columns)."""
        if not np.isfinite(damping):
            return self.matrix
        count = self.columns.x.shape[1]
        added = damping * self.columns.mean_of_diagonal
        solved = _solved(self.columns.kernel, added, self._errors, MOST_COLUMNS_OF_W_IN_DOUBLE)
        change = solved.transpose(0, 2, 1).astype(np.float32) @ self.columns.x
        return np.asarray(self.matrix + change / count)

    def hessian(self, damping: float) -> Hessian:
        """H + d I, for the search of codes."""
        return self.columns.hessian(damping)

    def bias(self, matrix: Float64Array) -> Float64Array:
        """The bias that keeps the mean output with other weights.

        (groups, rows), or (uses, groups, rows) if there are several uses.
        """
        biases = np.zeros((len(self.t), *matrix.shape[:2]))
        for use, (chunk, t) in enumerate(zip(self.samples.together, self.t, strict=True)):
            if self.samples.centred[use] and t.shape[1]:
                mean = chunk.columns.mean(axis=1, dtype=np.float64)  # (groups, columns)
                t_mean = t.mean(axis=1, dtype=np.float64)
                biases[use] = t_mean - (matrix @ mean[:, :, None])[:, :, 0]
        return biases[0] if len(biases) == 1 else biases

    def spread(self, matrix: Float64Array) -> Float32Array:
        """The standard deviation of each channel of the output with other weights, (channels,)."""
        outputs = self.columns.x @ transposed(matrix)
        return np.asarray(np.sqrt(np.square(outputs).mean(axis=1)).ravel(), np.float32)

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
