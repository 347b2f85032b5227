"""GPTQ rounding: each column makes up for the rounding errors of the columns before it.

This is Babai's nearest plane (1986) for the closest-vector problem of `hessian`; as a quantizer it
is known as GPTQ (arXiv 2210.17323). With H = R^T R and R upper triangular, column j is rounded from

    t_j = w_j + sum_{k > j} R_jk / R_jj * (w_k - step * q_k)

and the columns with the largest H_jj are rounded first. The cost is the sum of
R_jj^2 (t_j - step q_j)^2, so that it takes no product with H.

In Klein's sampler (2000), column j takes its second nearest code with the probability
1 / (1 + exp(gap / temperature)), where the gap is how much that raises its term of the cost.
"""

from typing import NamedTuple

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid.grid_rows import Limit, RowGrid
from onnx_evoq.quantize.grid.hessian import Floats, Hessian

_BLOCK = 64  # columns that are updated one by one before a matrix product updates the others


class Rounding(NamedTuple):
    """Codes with their costs.

    Attributes:
        codes: whole numbers, (groups, rows, columns).
        costs: of the rows, (groups, rows).
    """

    codes: Float64Array
    costs: Float64Array


class Sampling(NamedTuple):
    """How codes are drawn in Klein's sampler.

    Attributes:
        rng: draws the numbers.
        temperature: (groups, rows).
    """

    rng: np.random.Generator
    temperature: Float64Array


def gptq_rounding(weights: Float64Array, hessian: Hessian, grid: RowGrid) -> Float64Array:
    """Codes by GPTQ rounding, (groups, rows, columns); whole numbers.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H, (groups, columns, columns).
        grid: the steps and limits of the rows.
    """
    return gptq_with_costs(weights, hessian, grid).codes


def gptq_with_costs(
    weights: Float64Array, hessian: Hessian, grid: RowGrid, sampling: Sampling | None = None
) -> Rounding:
    """Codes by GPTQ rounding, or by Klein's sampler, and the cost of each row.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H, (groups, columns, columns).
        grid: the steps and limits of the rows.
        sampling: how codes are drawn; None for GPTQ rounding.
    """
    factor = hessian.factor
    order = factor.order[:, None, :]
    ordered = np.take_along_axis(weights, order, 2).astype(hessian.dtype, copy=False)
    codes, costs = np.empty_like(ordered), np.zeros(weights.shape[:2])
    feedback = factor.feedback(weights.shape[1])
    steps = grid.steps[:, :, 0].astype(hessian.dtype, copy=False)  # (groups, rows)
    limits = _by_row(grid.low), _by_row(grid.high)
    for end in range(weights.shape[2], 0, -_BLOCK):
        start = max(0, end - _BLOCK)
        fed = feedback.block(start, end).transpose(0, 2, 1)
        # A contiguous copy of the block, rows last: (groups, columns of the block, rows).
        rest = ordered[:, :, start:end].transpose(0, 2, 1).copy()
        target, chosen = rest + fed, np.empty_like(rest)
        within = factor.within(start, end)[:, :, :, None]
        raises = None if sampling is None else _raises(sampling, factor.pivots[:, start:end], steps)
        for j in range(end - start - 1, -1, -1):
            exact = target[:, j] / steps
            nearest = np.rint(exact)
            if raises is not None:
                aside = exact - nearest
                nearest += np.where(1 - 2 * abs(aside) < raises[:, j], np.sign(aside), 0)
            chosen[:, j] = nearest.clip(*limits)
            rest[:, j] -= steps * chosen[:, j]
            target[:, :j] += rest[:, j, None] * within[:, :j, j]
        # What is left of a target is step * q and the part of its own error: t_j - step q_j.
        missed = target - steps[:, None] * chosen
        costs += (factor.pivots[:, start:end, None] * missed**2).sum(axis=1)
        codes[:, :, start:end] = chosen.transpose(0, 2, 1)
        feedback.add(rest.transpose(0, 2, 1), start, end)
    unsorted = np.empty(weights.shape)
    np.put_along_axis(unsorted, order, codes.astype(np.float64, copy=False), 2)
    return Rounding(unsorted, costs)


def _raises(sampling: Sampling, pivots: Float64Array, steps: Floats) -> Floats:
    """Below which 1 - 2 |t_j / step - q_j| the second code is taken, (groups, columns, rows).

    That number is the gap in units of R_jj^2 step^2. With a uniform u, an event with the
    probability 1 / (1 + exp(gap / temperature)) occurs where log(1 / u - 1) > gap / temperature.
    """
    shape = (*pivots.shape, steps.shape[1])
    drawn = np.maximum(sampling.rng.random(shape, np.float32), 1e-7)
    scale = sampling.temperature[:, None] / (pivots[:, :, None] * steps[:, None] ** 2)
    return np.asarray(np.log(1 / drawn - 1) * scale).astype(steps.dtype)


def _by_row(limit: Limit) -> Limit:
    """A limit of codes as (groups, rows); one number for all rows stays a number."""
    return limit if isinstance(limit, int) else limit[:, :, 0]
