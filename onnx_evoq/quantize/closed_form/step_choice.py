"""The step of a layer's grid with the lowest cost.

A step that clips a few large weights is often cheaper than one that covers them and rounds all
others coarsely. So the step that covers the range of W* competes with smaller ones, by the cost of
the codes that each of them leads to.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid import (
    MANY_COLUMNS,
    FactoredHessian,
    FixedPoint,
    GridSpec,
    Linear,
    RowGrid,
    Scale,
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
    "float": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.28),
}
_MAX_ROWS = 64  # about so many rows of a large layer choose the step of a tensor
_MIN_STEP = 2.0**-126  # the smallest normal float32


def choose_steps(
    best_weight: Float64Array,
    hessian: FactoredHessian,
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
        descending: whether steps are compared after coordinate descent (unless there are many
            columns) instead of directly after GPTQ rounding.
    """
    grid = covering_grid(best_weight, layer, shape, spec)
    limits = row_grid(grid, layer, shape)
    channel = row_channels(grid.axis, layer, shape)  # (groups, rows): indices into grid.step
    largest = np.asarray(grid.step, np.float64).reshape(-1)  # (channels,)
    steps = [np.maximum(largest * share, _MIN_STEP) for share in _STEP_SHARES[spec.scale]]
    if grid.axis is None:
        every = -(-best_weight.shape[1] // _MAX_ROWS)
        best_weight, channel = best_weight[:, ::every], channel[:, ::every]
    costs = []  # for each step: (channels,)
    # All steps of a tensor are rounded together, one below the other. Per channel there may be too
    # many rows for that.
    for some in [steps] if grid.axis is None else [[step] for step in steps]:
        stacked = np.tile(best_weight, (1, len(some), 1))
        stacked_steps = np.concatenate([step[channel] for step in some], axis=1)[:, :, None]
        rows = RowGrid(stacked_steps, limits.low, limits.high)
        codes = gptq_rounding(stacked, hessian, rows)
        if descending and best_weight.shape[2] <= MANY_COLUMNS:
            codes = coordinate_descent(stacked, hessian, rows, codes)
        each = cost(stacked, hessian, rows, codes).reshape(len(best_weight), len(some), -1)
        costs += [
            np.bincount(channel.ravel(), each[:, k].ravel(), len(largest)) for k in range(len(some))
        ]
    best = np.argmin(costs, axis=0)
    step = np.choose(best, steps).astype(np.float32).reshape(np.shape(grid.step))
    return FixedPoint(grid.bits, step, grid.axis)
