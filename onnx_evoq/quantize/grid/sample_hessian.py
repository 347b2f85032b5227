"""The Hessian of a wide layer with few positions, which is never formed as a matrix.

With the n columns x of a layer as the rows of X, scaled by 1 / sqrt(n), and the damping d,

    H = X^T X + d I

has a rank of n plus a multiple of I. All products with H go through the n positions: E H is
(E X^T) X + d E. So do the terms of GPTQ rounding. If the errors e of the columns after j follow
those before it, the best e_j for the residual r = sum_{k before j} x_k e_k is

    -x_j^T M r / p_j,    p_j = x_j^T M x_j + d = R_jj^2,    M = d (d I + X_F X_F^T)^-1

where F holds the columns after j (Woodbury). M, (n, n), takes in one block of columns after
another: with the block's columns X_B and X_B^T M X_B + d I = L L^T, the rows of L^-1 X_B^T M are
M x_j / sqrt(p_j), and M loses the product of that matrix with itself.
"""

from functools import cached_property

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices
from onnx_evoq.quantize.grid.hessian import Feedback, Floats, Gradient

_BLOCK = 64  # columns that M takes in together


class SampleHessian:
    """The Hessian H = X^T X / n + d I of a layer's columns X at n positions.

    Args:
        columns: X, (groups, n, columns), without their means if the layer has a bias.
        damping: d, above 0, (groups,).

    Example:
        >>> hessian = SampleHessian(np.array([[[1.0, 2.0]]], np.float32), np.array([0.5]))
        >>> hessian.times(np.eye(2)[None]).tolist()  # H
        [[[1.5, 2.0], [2.0, 4.5]]]
    """

    dtype: type[np.floating] = np.float32

    def __init__(self, columns: Float32Array, damping: Float64Array) -> None:
        self._columns = columns / np.float32(np.sqrt(columns.shape[1]))
        self._damping = damping[:, None, None]

    @cached_property
    def diagonal(self) -> Float64Array:
        """H_jj, (groups, columns)."""
        squares = np.einsum("gnc,gnc->gc", self._columns, self._columns)
        return np.asarray(squares + self._damping[:, 0])

    @cached_property
    def factor(self) -> "SampleFactor":
        """The Cholesky factor of H with its columns sorted by H_jj."""
        order = np.argsort(self.diagonal, axis=1, kind="stable")
        ordered = np.take_along_axis(self._columns, order[:, None], 2)
        return SampleFactor(order, ordered, self._damping)

    def times(self, error: Floats) -> Floats:
        """E H of errors E, (groups, rows, columns)."""
        error = error.astype(np.float32, copy=False)
        product = error @ self._columns.transpose(0, 2, 1) @ self._columns
        return np.asarray(product + self._damping.astype(np.float32) * error)

    def gradient(self, error: Floats) -> Gradient:
        """E H of errors E, (groups, rows, columns), block by block of columns."""
        return _SampleGradient(self._columns, self._damping.astype(np.float32), error)

    def block(self, start: int, end: int) -> Floats:
        """H_jk for the columns from `start` to `end`, (groups, end - start, end - start)."""
        some = self._columns[:, :, start:end]
        diagonal = self._damping * np.eye(end - start)
        return np.asarray(some.transpose(0, 2, 1) @ some + diagonal, np.float32)

    def between(self, group: Indices, columns: Indices) -> Floats:
        """H_jk for each row's own columns, (rows, count), as (rows, count, count)."""
        some = self._columns[group[:, None], :, columns]  # (rows, count, n)
        same = columns[:, :, None] == columns[:, None, :]
        diagonal = same * self._damping[group].astype(np.float32)
        return np.asarray(some @ some.transpose(0, 2, 1) + diagonal)


class SampleFactor:
    """The Cholesky factor R of H = X^T X + d I, through the positions.

    Attributes:
        order: (groups, columns), the columns by ascending H_jj.
        pivots: R_jj^2 in that order, (groups, columns).

    Args:
        order: (groups, columns).
        columns: X in that order, (groups, n, columns).
        damping: d, (groups, 1, 1).
    """

    def __init__(self, order: Indices, columns: Float32Array, damping: Float64Array) -> None:
        groups, positions, width = columns.shape
        self.order, self.pivots = order, np.empty(order.shape)
        self._columns = columns
        self._pull = np.empty((groups, width, positions), np.float32)  # M x_j / p_j
        inner = np.tile(np.eye(positions), (groups, 1, 1))  # M
        for start in range(0, width, _BLOCK):
            end = min(start + _BLOCK, width)
            some = columns[:, :, start:end].transpose(0, 2, 1).astype(np.float64)  # (.., block, n)
            pulled = some @ inner
            schur = pulled @ some.transpose(0, 2, 1) + damping * np.eye(end - start)
            lower = np.linalg.cholesky(schur)
            root = np.diagonal(lower, axis1=1, axis2=2)  # (groups, block)
            rows = np.linalg.solve(lower, pulled)  # M x_j / sqrt(p_j)
            self.pivots[:, start:end] = root**2
            self._pull[:, start:end] = rows / root[:, :, None]
            inner -= rows.transpose(0, 2, 1) @ rows

    def within(self, start: int, end: int) -> Floats:
        """R_jk / R_jj of a block (above its diagonal), (groups, end - start, end - start)."""
        return self._pull[:, start:end] @ self._columns[:, :, start:end]

    def feedback(self, rows: int) -> Feedback:
        """The feedback of no errors, for so many rows."""
        return _SampleFeedback(self._columns, self._pull, rows)


class _SampleFeedback:
    def __init__(self, columns: Float32Array, pull: Float32Array, rows: int) -> None:
        self._columns, self._pull = columns, pull
        self._residual = np.zeros((len(columns), rows, columns.shape[1]), np.float32)

    def block(self, start: int, end: int) -> Floats:
        return self._residual @ self._pull[:, start:end].transpose(0, 2, 1)

    def add(self, errors: Floats, start: int, end: int) -> None:
        self._residual += errors @ self._columns[:, :, start:end].transpose(0, 2, 1)


class _SampleGradient:
    def __init__(self, columns: Float32Array, damping: Float32Array, error: Floats) -> None:
        self._columns, self._damping, self._error = columns, damping, error
        self._residual = error @ columns.transpose(0, 2, 1)  # (groups, rows, n)

    def block(self, start: int, end: int) -> Floats:
        through = self._residual @ self._columns[:, :, start:end]
        return np.asarray(through + self._damping * self._error[:, :, start:end])

    def add(self, change: Floats, start: int, end: int) -> None:
        self._error[:, :, start:end] += change
        self._residual += change @ self._columns[:, :, start:end].transpose(0, 2, 1)
