"""The grid of a weight, laid out for the rows of its matrix.

A `FixedPoint` has one step for the whole weight, or one for each channel along an axis of the
weight. The algorithms of this package work on the rows of the matrix that the weight becomes
(`linear`). Here the steps and the limits of codes are laid out by row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.weights import FixedPoint, GridSpec, Linear

Limit = int | Float64Array  # of codes: one number for all rows, or (groups, rows, 1)


@dataclass(frozen=True, eq=False)
class RowGrid:
    """The grid of each row of a matrix.

    Attributes:
        steps: (groups, rows, 1).
        low: the smallest code, one number for all rows or (groups, rows, 1).
        high: the largest code, one number for all rows or (groups, rows, 1).
    """

    steps: Float64Array
    low: Limit
    high: Limit

    def nearest(self, weights: Float64Array) -> Float64Array:
        """The codes nearest to `weights`, in their shape, (groups, rows, columns)."""
        return np.asarray(np.rint(weights / self.steps).clip(self.low, self.high))

    def at(self, rows: Indices) -> "RowGrid":
        """The grid of some rows of each group, given by their indices."""
        low, high = (
            limit if isinstance(limit, int) else limit[:, rows] for limit in (self.low, self.high)
        )
        return RowGrid(self.steps[:, rows], low, high)


def row_grid(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> RowGrid:
    """The grid of each row of the matrix that a weight of that shape becomes.

    Args:
        grid: the weight's grid.
        layer: how the weight becomes a matrix.
        shape: the weight's shape.
    """
    channel = row_channels(grid.axis, layer, shape)[:, :, None]

    def by_row(limit: int | NDArray[np.int16]) -> Limit:
        return limit if isinstance(limit, int) else limit[channel].astype(np.float64)

    steps = np.asarray(grid.step, np.float64).reshape(-1)[channel]
    return RowGrid(steps, by_row(grid.low), by_row(grid.high))


def row_channels(axis: int | None, layer: Linear, shape: tuple[int, ...]) -> Indices:
    """The channel of each row along an axis of the weight, (groups, rows); 0 for no axis."""
    along = 0 if axis is None else np.indices(shape, sparse=True)[axis]
    return np.asarray(layer.matrix(np.broadcast_to(along, shape))[:, :, 0], np.intp)


def covering_grid(
    matrix: Float64Array, layer: Linear, shape: tuple[int, ...], spec: GridSpec
) -> FixedPoint:
    """The grid whose steps cover the range of a matrix.

    Args:
        matrix: (groups, rows, columns), with as many rows as the weight's own matrix.
        layer: how the weight becomes a matrix.
        shape: the weight's shape.
        spec: the weight's bits, axis, scale and type.
    """
    largest = np.abs(matrix).max(axis=2, keepdims=True)  # (groups, rows, 1)
    repeated = np.ascontiguousarray(
        np.broadcast_to(largest, layer.matrix(np.empty(shape, np.bool_)).shape)
    )
    return spec.fit(np.asarray(layer.weight(repeated, shape), np.float32))
