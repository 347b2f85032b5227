"""The step and the limits of codes of each row of a weight's matrix.

A grid has a step for the whole weight or one for each channel along an axis of the weight; what is
solved are the rows of the matrix that the weight becomes (`linear`). Here the one is laid out as
the other.
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid.closest_point import Limit
from onnx_evoq.quantize.grid.fixed_point import FixedPoint
from onnx_evoq.quantize.grid.linear import Linear


def row_steps(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> Float64Array:
    """The step of each row of the matrix, (groups, rows, 1)."""
    step = np.asarray(grid.step, np.float64).reshape(-1)
    return np.asarray(step[row_channels(grid, layer, shape)][:, :, None])


def row_limits(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> tuple[Limit, Limit]:
    """The smallest and the largest code; of each row, (groups, rows, 1), if widths differ."""
    channel = row_channels(grid, layer, shape)[:, :, None]

    def by_row(limit: int | NDArray[np.int16]) -> Limit:
        return limit if isinstance(limit, int) else limit[channel].astype(np.float64)

    return by_row(grid.low), by_row(grid.high)


def row_channels(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> Indices:
    """The channel of each row along the grid's axis, (groups, rows); 0 where it has none."""
    if grid.axis is None:
        return np.zeros(layer.matrix(np.empty(shape, np.float32)).shape[:2], np.intp)
    along = np.arange(shape[grid.axis]).reshape(
        [-1 if axis == grid.axis else 1 for axis in range(len(shape))]
    )
    return np.asarray(layer.matrix(np.broadcast_to(along, shape))[:, :, 0], np.intp)
