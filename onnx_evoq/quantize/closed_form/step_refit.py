"""Float steps refitted to their codes, in closed form.

For given codes q, the cost (s q - w)^T H (s q - w) is lowest for the step

    s = q^T H w / q^T H q

with both products summed over the rows that share the step. The codes then descend for the new
step, in turn, and each channel keeps what costs less.
"""

from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid import (
    FixedPoint,
    Hessian,
    Linear,
    coordinate_descent,
    cost,
    pair_exchange,
    row_channels,
    row_grid,
)

_ROUNDS = 3


def refit_steps(
    best_weight: Float64Array,
    hessian: Hessian,
    layer: Linear,
    shape: tuple[int, ...],
    grid: FixedPoint,
    codes: Float64Array,
) -> tuple[FixedPoint, Float64Array]:
    """Steps and codes whose cost is not above that of those given, for any numbers as steps.

    Args:
        best_weight: W*, (groups, rows, columns).
        hessian: H + d I.
        layer: how the weight becomes a matrix.
        shape: the weight's shape.
        grid: the grid so far.
        codes: the codes so far, (groups, rows, columns).

    Returns:
        The grid and the codes, (groups, rows, columns).
    """
    channel = row_channels(grid.axis, layer, shape)  # (groups, rows)
    count = np.size(grid.step)

    def by_channel(each: Float64Array) -> Float64Array:
        """Sums over the rows of each channel, (channels,)."""
        return np.asarray(np.bincount(channel.ravel(), each.ravel(), count), np.float64)

    costs = by_channel(cost(best_weight, hessian, row_grid(grid, layer, shape), codes))
    for _ in range(_ROUNDS):
        step = np.asarray(grid.step, np.float32).reshape(-1)
        through = hessian.times(codes)  # q^T H, (groups, rows, columns)
        along = by_channel((through * best_weight).sum(axis=2))
        power = by_channel((through * codes).sum(axis=2))
        fitted = np.divide(along, power, out=step.astype(np.float64), where=power > 0)
        fitted = np.where(fitted > np.finfo(np.float32).tiny, fitted, step).astype(np.float32)
        trial = replace(grid, step=fitted.reshape(np.shape(grid.step)))
        problem = best_weight, hessian, row_grid(trial, layer, shape)
        moved = pair_exchange(*problem, coordinate_descent(*problem, codes))
        trial_costs = by_channel(cost(*problem, moved))
        better = trial_costs < costs  # (channels,)
        if not better.any():
            break
        costs = np.where(better, trial_costs, costs)
        kept = np.where(better, fitted, step).reshape(np.shape(grid.step))
        grid = replace(grid, step=kept)
        codes = np.where(better[channel][:, :, None], moved, codes)
    return grid, codes
