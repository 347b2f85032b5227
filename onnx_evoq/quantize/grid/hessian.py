"""The error of a layer's output as a quadratic form of its weights, with the Hessian H.

For a row w of a weight matrix, its codes q and H = E[x x^T] of the layer's columns x, the error of
the output is

    cost(q) = (step * q - w)^T H (step * q - w)

The rows of a layer come in groups (a convolution's groups), and each group has its own H. So
weights and codes are (groups, rows, columns), and H is (groups, columns, columns). H is given
as a matrix (`matrix_hessian`), or by the columns of a few positions (`sample_hessian`); the
algorithms ask either form for the same products.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid.grid_rows import Limit, RowGrid

# Above so many columns, algorithms save time.
MANY_COLUMNS = 1200

Floats = NDArray[Any]  # float32 or float64


class Gradient(Protocol):
    """The gradient G = e H of the errors e = step * q - w, asked for block by block of columns."""

    def block(self, start: int, end: int) -> Floats:
        """G of the columns from `start` to `end`, (groups, rows, end - start)."""
        ...

    def add(self, change: Floats, start: int, end: int) -> None:
        """Change the errors of those columns, (groups, rows, end - start)."""
        ...


class Feedback(Protocol):
    """What the columns rounded so far ask of the next ones; columns are in the factor's order."""

    def block(self, start: int, end: int) -> Floats:
        """sum_{k >= end} R_jk / R_jj * e_k for each j of the block, (groups, rows, end - start)."""
        ...

    def add(self, errors: Floats, start: int, end: int) -> None:
        """Take in the errors e = w - step * q of the block, (groups, rows, end - start)."""
        ...


class Factor(Protocol):
    """The Cholesky factor R of a sorted Hessian, H = R^T R with R upper triangular.

    Attributes:
        order: (groups, columns), the columns by ascending H_jj.
        pivots: R_jj^2 in that order, (groups, columns).
    """

    order: Indices
    pivots: Float64Array

    def within(self, start: int, end: int) -> Floats:
        """R_jk / R_jj of a block (above its diagonal), (groups, end - start, end - start)."""
        ...

    def feedback(self, rows: int) -> Feedback:
        """The feedback of no errors, for so many rows."""
        ...


class Hessian(Protocol):
    """What the algorithms ask of H.

    Attributes:
        dtype: of the products.
        diagonal: H_jj, (groups, columns).
        factor: the Cholesky factor of H.
    """

    @property
    def dtype(self) -> type[np.floating]: ...
    @property
    def diagonal(self) -> Float64Array: ...
    @property
    def factor(self) -> Factor: ...

    def times(self, error: Floats) -> Floats:
        """E H of errors E, (groups, rows, columns)."""
        ...

    def gradient(self, error: Floats) -> Gradient:
        """E H of errors E, block by block; E becomes the gradient's own and changes in place."""
        ...

    def block(self, start: int, end: int) -> Floats:
        """H_jk for the columns from `start` to `end`, (groups, end - start, end - start)."""
        ...

    def between(self, group: Indices, columns: Indices) -> Floats:
        """H_jk for each row's own columns, (rows, count, count).

        Args:
            group: the group of each row, (rows,).
            columns: (rows, count).
        """
        ...


def cost(
    weights: Float64Array, hessian: Hessian, grid: RowGrid, codes: Float64Array
) -> Float64Array:
    """The cost of each row, (groups, rows).

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps of the rows.
        codes: q, (groups, rows, columns).
    """
    error = grid.steps * codes - weights
    return np.asarray((hessian.times(error) * error).sum(axis=2))


def single_move_costs(
    weights: Float64Array, hessian: Hessian, grid: RowGrid, codes: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """How much a row's cost changes if one code moves by +1, and if it moves by -1.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps and limits of the rows.
        codes: q, (groups, rows, columns).

    Returns:
        Both changes for each code, (groups, rows, columns) each; infinite where the code would
        leave its range.
    """
    gradient = hessian.times(grid.steps * codes - weights)
    diagonal = hessian.diagonal[:, None, :]
    return cost_changes(codes, gradient, diagonal, grid.steps, (grid.low, grid.high))


def cost_changes(
    codes: Floats, gradient: Floats, diagonal: Floats, steps: Floats, limits: tuple[Limit, Limit]
) -> tuple[Floats, Floats]:
    """`single_move_costs` from the gradient G = (step * q - w) H and the diagonal of H.

    A move by s changes the cost by c_j = 2 step s G_j + step^2 H_jj. All arrays have the shape of
    `codes` or broadcast to it.
    """
    low, high = limits
    linear, quadratic = 2 * steps * gradient, steps**2 * diagonal
    return (
        np.where(codes < high, quadratic + linear, np.inf),
        np.where(codes > low, quadratic - linear, np.inf),
    )
