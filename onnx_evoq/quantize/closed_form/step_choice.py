"""The step of a layer's grid with the lowest cost.

A step that clips a few large weights is often cheaper than one that covers them and rounds all
others coarsely. So the step that covers the range of W* competes with smaller ones.

1. If each column is rounded alone, the error e_j costs R_jj^2 e_j^2 with H = R^T R: what remains
   once the other columns make up for it. The sum over a row's columns takes no time, and the steps
   with the two lowest sums nearly always hold the best one.
2. These are compared by the cost of the codes that they lead to.
"""

from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid import (
    FixedPoint,
    GridSpec,
    Hessian,
    Linear,
    RowGrid,
    Scale,
    closest_codes,
    coordinate_descent,
    cost,
    covering_grid,
    gptq_rounding,
    row_channels,
    row_grid,
)

# Steps that compete, as shares of the one that covers the range.
_STEP_SHARES: dict[Scale, tuple[float, ...]] = {
    "pow2": (1.0, 0.5, 0.25, 0.125),
    "float": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.28, 0.22, 0.17, 0.13),
}
_MAX_ROWS = 64  # about so many rows of a large layer choose the step of a tensor
_MOST_AT_ONCE = 2**22  # weights of one group whose codes are computed together
_MIN_STEP = 2.0**-126  # the smallest normal float32
# Steps whose codes are compared, after one sweep of descent. With GPTQ rounding alone the chosen
# steps cost up to 1.3 % more at 2 bits, with eight sweeps 0.1 % less.
_CANDIDATES, _SWEEPS = 2, 1
_LEAST_POWER = 1e-4  # of the mean power of rows
_FEW_COLUMNS = 32  # all steps are compared, by their final codes


def choose_steps(
    best_weight: Float64Array,
    hessian: Hessian,
    layer: Linear,
    shape: tuple[int, ...],
    spec: GridSpec,
    *,
    descending: bool,
) -> FixedPoint:
    """The grid with the step of the lowest cost, for the whole tensor or for each channel.

    Args:
        best_weight: W*, (groups, rows, columns).
        hessian: H + d I.
        layer: how the weight becomes a matrix.
        shape: the weight's shape.
        spec: the weight's bits, axis, scale and type.
        descending: whether steps are compared by their codes after descent, instead of directly
            after GPTQ rounding.
    """
    grid = covering_grid(best_weight, layer, shape, spec)
    limits = row_grid(grid, layer, shape)
    channel = row_channels(grid.axis, layer, shape)  # (groups, rows): indices into grid.step
    largest = np.asarray(grid.step, np.float64).reshape(-1)  # (channels,)
    shares = np.array(_STEP_SHARES[spec.scale])
    steps = np.maximum(largest * shares[:, None], _MIN_STEP)  # (shares, channels)
    some = np.arange(best_weight.shape[1])
    if grid.axis is None:
        some = some[:: -(-len(some) // _MAX_ROWS)]
    best_weight, limits, channel = best_weight[:, some], limits.at(some), channel[:, some]
    few = best_weight.shape[2] <= _FEW_COLUMNS
    # Rows count by the error relative to their output: channels that were equalized have weights of
    # one range, but outputs of very unlike power.
    power = (hessian.times(best_weight) * best_weight).sum(axis=2)  # (groups, rows)
    least = max(_LEAST_POWER * float(power.mean()), float(np.finfo(np.float32).tiny))
    share = 1 / np.maximum(power.astype(np.float64), least)
    if not few:
        alone = _costs_alone(best_weight, hessian, limits, channel, steps, share)
        best = np.argsort(alone, axis=0, kind="stable")[:_CANDIDATES]
        # The larger step first: it stays if it costs as little.
        steps = np.take_along_axis(steps, np.sort(best, axis=0), 0)  # (candidates, channels)
    costs = []  # for each candidate: (channels,)
    for step in steps:
        rows = RowGrid(step[channel][:, :, None], limits.low, limits.high)
        each = _costs(best_weight, hessian, rows, few=few, descending=descending)
        costs.append(np.bincount(channel.ravel(), (each * share).ravel(), len(largest)))
    chosen = np.take_along_axis(steps, np.argmin(costs, axis=0)[None], 0)
    return replace(grid, step=chosen.astype(np.float32).reshape(np.shape(grid.step)))


def _costs_alone(
    weights: Float64Array,
    hessian: Hessian,
    limits: RowGrid,
    channel: Indices,
    steps: Float64Array,
    share: Float64Array,
) -> Float64Array:
    """The sum of R_jj^2 e_j^2 over each channel's rows if columns are rounded alone, as `steps`."""
    pivots = np.empty_like(hessian.factor.pivots)  # R_jj^2, (groups, columns)
    np.put_along_axis(pivots, hessian.factor.order, hessian.factor.pivots, 1)
    sums = []
    for step in steps:
        rows = RowGrid(step[channel][:, :, None], limits.low, limits.high)
        errors = rows.steps * rows.nearest(weights) - weights
        each = (errors**2 @ pivots[:, :, None])[:, :, 0]  # (groups, rows)
        sums.append(np.bincount(channel.ravel(), (each * share).ravel(), steps.shape[1]))
    return np.array(sums)


def _costs(
    weights: Float64Array, hessian: Hessian, grid: RowGrid, *, few: bool, descending: bool
) -> Float64Array:
    """The cost of each row by which steps are compared, (groups, rows)."""
    costs, at_once = [], max(1, _MOST_AT_ONCE // weights.shape[2])
    for start in range(0, weights.shape[1], at_once):
        some = np.arange(start, min(start + at_once, weights.shape[1]))
        problem = weights[:, some], hessian, grid.at(some)
        if few and descending:
            codes = closest_codes(*problem)
        else:
            codes = gptq_rounding(*problem)
            if descending:
                codes = coordinate_descent(*problem, codes, _SWEEPS)
        costs.append(cost(*problem, codes))
    return np.concatenate(costs, axis=1)
