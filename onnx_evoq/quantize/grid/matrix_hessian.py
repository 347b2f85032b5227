"""The Hessian of a layer's output error as a matrix, with its Cholesky factor."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid.hessian import Feedback, Floats, Gradient

# Above so many columns, products are computed in float32: a gradient is then known to about 1e-5 of
# what moves a code. Below, they take little time in float64.
_MOST_COLUMNS_IN_DOUBLE = 256
_CHOLESKY_BLOCK = 128


@dataclass(eq=False)
class CholeskyFactor:
    """The Cholesky factor of an H that is given as a matrix.

    Attributes:
        order: (groups, columns), the columns by ascending H_jj.
        pivots: R_jj^2 in that order, (groups, columns).
        lower: R_kj / R_kk at j, k in that order, (groups, columns, columns).
    """

    order: Indices
    pivots: Float64Array
    lower: Floats

    @classmethod
    def of(
        cls, matrix: Float64Array, diagonal: Float64Array, dtype: type[np.floating]
    ) -> "CholeskyFactor":
        """The factor of an H.

        Args:
            matrix: H but for its diagonal, (groups, columns, columns).
            diagonal: H_jj, (groups, columns).
            dtype: of `lower`.
        """
        orders = np.argsort(diagonal, axis=1, kind="stable")
        pivots, lowers = np.empty(orders.shape), np.empty(matrix.shape, dtype)
        for group, order in enumerate(orders):
            ordered = matrix[group][np.ix_(order, order)]
            np.fill_diagonal(ordered, diagonal[group, order])
            lower = cholesky(ordered)
            of_factor = np.diagonal(lower)  # R_jj, (columns,)
            pivots[group] = of_factor**2
            np.divide(lower, of_factor, out=lowers[group], casting="same_kind")
        return cls(orders, pivots, lowers)

    def within(self, start: int, end: int) -> Floats:
        """R_jk / R_jj of a block (above its diagonal), (groups, end - start, end - start)."""
        return self.lower[:, start:end, start:end].transpose(0, 2, 1)

    def feedback(self, rows: int) -> Feedback:
        """The feedback of no errors, for so many rows."""
        return _FactorFeedback(self.lower, rows)


def cholesky(matrix: Float64Array) -> Float64Array:
    """The lower Cholesky factor of a matrix; twice as fast as NumPy's for many columns.

    Args:
        matrix: positive definite, (columns, columns); it is overwritten.
    """
    columns = len(matrix)
    if columns <= 2 * _CHOLESKY_BLOCK:
        return np.asarray(np.linalg.cholesky(matrix), np.float64)
    for start in range(0, columns, _CHOLESKY_BLOCK):
        end = min(start + _CHOLESKY_BLOCK, columns)
        panel = matrix[start:, start:end]
        panel -= matrix[start:, :start] @ matrix[start:end, :start].T
        corner = np.linalg.cholesky(panel[: end - start])
        panel[: end - start] = corner
        panel[end - start :] = panel[end - start :] @ np.linalg.inv(corner).T
        matrix[start:end, end:] = 0
    return matrix


class _FactorFeedback:
    def __init__(self, lower: Floats, rows: int) -> None:
        self._lower = lower
        self._errors = np.zeros((len(lower), rows, lower.shape[2]), lower.dtype)

    def block(self, start: int, end: int) -> Floats:
        return self._errors[:, :, end:] @ self._lower[:, end:, start:end]

    def add(self, errors: Floats, start: int, end: int) -> None:
        self._errors[:, :, start:end] = errors


class _Rounded(Protocol):
    """H with its damping, in the type of products, (groups, columns, columns)."""

    @property
    def rounded(self) -> Floats: ...


class MatrixProducts:
    """The products of an H that is given as a matrix."""

    def times(self: _Rounded, error: Floats) -> Floats:
        """E H of errors E, (groups, rows, columns)."""
        return np.asarray(error.astype(self.rounded.dtype, copy=False) @ self.rounded)

    def gradient(self: _Rounded, error: Floats) -> Gradient:
        """E H of errors E, (groups, rows, columns), block by block of columns."""
        return _MatrixGradient(self.rounded, error)

    def block(self: _Rounded, start: int, end: int) -> Floats:
        """H_jk for the columns from `start` to `end`, (groups, end - start, end - start)."""
        return self.rounded[:, start:end, start:end]

    def between(self: _Rounded, group: Indices, columns: Indices) -> Floats:
        """H_jk for each row's own columns, (rows, count, count)."""
        return self.rounded[group[:, None, None], columns[:, :, None], columns[:, None, :]]


@dataclass(frozen=True, eq=False)
class FactoredHessian(MatrixProducts):
    """The Hessian H of a layer's columns as a matrix, with its Cholesky factor.

    The factor is expensive and does not depend on the steps. So it is computed once, when it is
    first asked for. H of many columns is large, so no copy is made of it with the damping added.

    Attributes:
        matrix: H without its damping, (groups, columns, columns).
        damping: d, which is added to the diagonal, (groups,); None for 0. With it, H is positive
            definite.
    """

    matrix: Float64Array
    damping: Float64Array | None = None

    @property
    def dtype(self) -> type[np.floating]:
        """Float64 for few columns, float32 for more."""
        return np.float64 if self.matrix.shape[1] <= _MOST_COLUMNS_IN_DOUBLE else np.float32

    @cached_property
    def diagonal(self) -> Float64Array:
        """H_jj, (groups, columns)."""
        diagonal = np.diagonal(self.matrix, axis1=1, axis2=2)
        return diagonal if self.damping is None else diagonal + self.damping[:, None]

    @cached_property
    def factor(self) -> CholeskyFactor:
        """The Cholesky factor of H with its columns sorted by H_jj."""
        return CholeskyFactor.of(self.matrix, self.diagonal, self.dtype)

    @cached_property
    def rounded(self) -> Floats:
        """H with its damping, in the type of products, (groups, columns, columns)."""
        rounded = self.matrix.astype(self.dtype, copy=self.damping is not None)
        if self.damping is not None:
            index = np.arange(rounded.shape[1])
            rounded[:, index, index] = self.diagonal
        return rounded


class _MatrixGradient:
    # A block's gradient is computed when it is asked for: a gradient of all columns that is kept
    # up to date would be read and written once for each block.
    def __init__(self, matrix: Floats, error: Floats) -> None:
        self._matrix, self._error = matrix, error

    def block(self, start: int, end: int) -> Floats:
        return self._error @ self._matrix[:, :, start:end]

    def add(self, change: Floats, start: int, end: int) -> None:
        self._error[:, :, start:end] += change
