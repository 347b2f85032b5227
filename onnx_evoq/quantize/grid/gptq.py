"""GPTQ rounding: each column makes up for the rounding errors of the columns before it.

This is Babai's nearest plane (1986) for the closest-vector problem of `hessian`; as a quantizer it
is known as GPTQ (arXiv 2210.17323). With H = R^T R and R upper triangular, column j is rounded from

    w_j + sum_{k > j} R_jk / R_jj * (w_k - step * q_k)

and the columns with the largest H_jj are rounded first.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid.grid_rows import Limit, RowGrid
from onnx_evoq.quantize.grid.hessian import FactoredHessian

_BLOCK = 64  # columns that are updated one by one before a matrix product updates the others


def gptq_rounding(weights: Float64Array, hessian: FactoredHessian, grid: RowGrid) -> Float64Array:
    """Codes by GPTQ rounding, (groups, rows, columns); whole numbers.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H, (groups, columns, columns).
        grid: the steps and limits of the rows.
    """
    order, upper = hessian.factor
    order = order[:, None, :]
    ordered = np.take_along_axis(weights, order, 2)
    codes, errors = np.zeros_like(ordered), np.zeros_like(ordered)  # errors = w - step * q
    step, low, high = grid.steps[:, :, 0], _by_row(grid.low), _by_row(grid.high)
    for end in range(weights.shape[2], 0, -_BLOCK):
        start = max(0, end - _BLOCK)
        feedback = errors[:, :, end:] @ upper[:, start:end, end:].transpose(0, 2, 1)
        # A contiguous copy of the block, rows last: (groups, columns of the block, rows).
        rest = ordered[:, :, start:end].transpose(0, 2, 1).copy()
        target, chosen = rest + feedback.transpose(0, 2, 1), np.empty_like(rest)
        for j in range(end - start - 1, -1, -1):
            chosen[:, j] = np.rint(target[:, j] / step).clip(low, high)
            rest[:, j] -= step * chosen[:, j]
            target[:, :j] += rest[:, j, None] * upper[:, start : start + j, start + j, None]
        codes[:, :, start:end] = chosen.transpose(0, 2, 1)
        errors[:, :, start:end] = rest.transpose(0, 2, 1)
    unsorted = np.empty_like(codes)
    np.put_along_axis(unsorted, order, codes, 2)
    return unsorted


def _by_row(limit: Limit) -> Limit:
    """A limit of codes as (groups, rows); one number for all rows stays a number."""
    return limit if isinstance(limit, int) else limit[:, :, 0]
