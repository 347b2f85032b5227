"""The step of a layer's grid that costs least.

Clipping a few large weights is often cheaper than rounding all of them coarsely. So the step that
covers the range of W* competes with smaller ones, by the cost of the codes that each leads to.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid import (
    CholeskyFactor,
    FixedPoint,
    Linear,
    Scale,
    cholesky_factor,
    coordinate_descent,
    cost,
    gptq_rounding,
    row_channels,
    row_limits,
)

# Columns above which time counts: steps are compared by their feedback alone.
_DESCENT_UP_TO = 1200
# Steps that are tried, as shares of the one that covers the range.
_STEP_FRACTIONS: dict[Scale, tuple[float, ...]] = {
    "pow2": (1.0, 0.5, 0.25, 0.125),
    "float": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.28),
}
_ROWS_TRIED = 64  # rows of a large layer that choose the step of a tensor
_LEAST_STEP = 2.0**-126


def choose_steps(
    best_weight: Float64Array,
    hessian: Float64Array,
    grid: FixedPoint,
    layer: Linear,
    shape: tuple[int, ...],
    scale: Scale,
    factored: CholeskyFactor | None = None,
    descending: bool = True,
) -> FixedPoint:
    """The grid with the step of the lowest cost, for the whole tensor or for each channel.

    Args:
        aim: W*.
        metric: H + d I.
        grid: covers the range of W*.
        layer: how the weight becomes a matrix.
        shape: of the weight.
        scale: which steps there are.
        factored: ``factor(metric)``, if it is known already.
        descending: whether steps compete after coordinate descent, unless the matrix is large.
    """
    factored = factored or cholesky_factor(hessian)
    channel = row_channels(grid, layer, shape)  # (groups, rows): the place in grid.step
    rows = slice(None)
    if grid.axis is None and best_weight.shape[1] > _ROWS_TRIED:
        rows = slice(None, None, -(-best_weight.shape[1] // _ROWS_TRIED))
    largest = np.asarray(grid.step, np.float64).reshape(-1)  # (channels,)
    tried = [np.maximum(largest * share, _LEAST_STEP) for share in _STEP_FRACTIONS[scale]]
    low, high = row_limits(grid, layer, shape)
    best_weight, channel = best_weight[:, rows], channel[:, rows]
    costs = []  # for each step tried: (channels,)
    # All steps of a tensor at a time, one below the other; of channels there may be too many rows.
    for some in [tried] if grid.axis is None else [[step] for step in tried]:
        stacked = np.tile(best_weight, (1, len(some), 1))
        steps = np.concatenate([step[channel] for step in some], axis=1)[:, :, None]
        codes = gptq_rounding(stacked, hessian, steps, low, high, factored)
        if descending and best_weight.shape[2] <= _DESCENT_UP_TO:
            codes = coordinate_descent(stacked, hessian, steps, codes, low, high)
        each = cost(stacked, hessian, steps, codes).reshape(len(best_weight), len(some), -1)
        costs += [
            np.bincount(channel.ravel(), each[:, k].ravel(), len(largest)) for k in range(len(some))
        ]
    best = np.argmin(costs, axis=0)
    step = np.choose(best, tried).astype(np.float32).reshape(np.shape(grid.step))
    return FixedPoint(grid.bits, step, grid.axis)
