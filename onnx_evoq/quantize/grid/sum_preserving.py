"""Rounding that keeps sums, which is what a layer minds most whose inputs go together.

For inputs of which nothing is known but that they are alike (behind a Relu none is negative, and
neighbours in an image resemble each other), the error of a layer's output is about

    ALONE * sum_i e_i^2 + KERNEL * sum_k (sum_{i in k} e_i)^2 + ROW * (sum_i e_i)^2,

e the errors of a row's codes in steps, k the taps that belong to one input channel. Nearest
rounding minimises the first sum alone. The others follow from moving, in each kernel and then in
each row, the codes that are closest to a tie, until what the errors sum up to is below one half:
SQuant (arXiv 2202.07471). How much each sum counts in a layer is not known, so that several
roundings are given to choose from.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float32Array, Float64Array
from onnx_evoq.quantize.grid.closest_point import Limit
from onnx_evoq.quantize.grid.fixed_point import QuantizedWeight
from onnx_evoq.quantize.grid.grid_rows import row_limits, row_steps
from onnx_evoq.quantize.grid.linear import Linear

# Shares of the sums over kernels and over rows that are taken back.
RESTORED_SHARES = (
    (1.0, 0.0),
    (0.0, 1.0),
    (1.0, 1.0),
    (0.5, 0.0),
    (0.0, 0.5),
    (0.5, 0.5),
    (1.0, 0.5),
)
_ALONE, _KERNEL, _ROW = 0.6, 0.3, 0.1


def sum_preserving_roundings(
    values: Float32Array, weight: QuantizedWeight, layer: Linear
) -> list[Codes]:
    """Roundings of a layer's weight that keep the sums of its kernels and rows, int8 each.

    Args:
        values: the float weight, in its own shape.
        weight: the same, rounded to the nearest.
        layer: how it becomes a matrix.
    """
    codes, grid = weight
    wanted = layer.matrix(values) / row_steps(grid, layer, values.shape)  # (groups, rows, columns)
    low, high = (
        np.broadcast_to(limit, wanted.shape) for limit in row_limits(grid, layer, values.shape)
    )
    by_kernel = (*wanted.shape[:2], -1, layer.taps)
    found = {codes.tobytes(): codes}
    for kernels, rows in RESTORED_SHARES:
        moved = layer.matrix(codes).astype(np.float64)
        apart, codes_apart, least, most = (
            part.reshape(by_kernel) for part in (wanted, moved, low, high)
        )
        moved = keep_sums(apart, codes_apart, least, most, kernels).reshape(wanted.shape)
        moved = keep_sums(wanted, moved, low, high, rows)
        rounding = layer.weight(moved, values.shape).astype(np.int8)
        found.setdefault(rounding.tobytes(), rounding)
    return list(found.values())[1:]


def keep_sums(
    values: Float64Array, codes: Float64Array, low: Limit, high: Limit, share: float = 1.0
) -> Float64Array:
    """Codes whose sum over the last axis is that of `values`, or nearer to it.

    Those codes move by one that are closest to a tie, as many as the error of the sum says.

    Args:
        values: real numbers in steps, (..., count).
        codes: whole numbers near to them, in the same shape.
        low: smallest code; a number, or what broadcasts to that shape.
        high: largest code, likewise.
        share: of the error that is taken back.

    Example:
        >>> keep_sums(np.array([0.3, 0.4, 0.4]), np.zeros(3), -8, 7)
        array([0., 1., 0.])
    """
    errors = codes - values
    excess = errors.sum(axis=-1, keepdims=True)
    step = -np.sign(excess)
    # A move changes the square of an error by 1 + 2 * step * error.
    cost = np.where((codes + step >= low) & (codes + step <= high), step * errors, np.inf)
    order = np.argsort(cost, axis=-1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[-1]), axis=-1)
    moves = (rank < np.rint(share * np.abs(excess))) & np.isfinite(cost)
    return np.asarray(codes + step * moves)


def cost_with_sums(
    values: Float32Array, weight: QuantizedWeight, layer: Linear
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What moving a code by +1 and by -1 costs by the sums above, in the weight's shape.

    Args:
        values: the float weight, in its own shape.
        weight: its codes.
        layer: how it becomes a matrix.
    """
    codes, grid = weight
    errors = layer.matrix(codes) - layer.matrix(values) / row_steps(grid, layer, values.shape)
    kernels = errors.reshape(*errors.shape[:2], -1, layer.taps)
    pull = _ALONE * errors + _ROW * errors.sum(axis=-1, keepdims=True)
    pull += _KERNEL * np.repeat(kernels.sum(axis=-1), layer.taps, axis=-1)
    slope = 2 * layer.weight(pull, values.shape)
    return 1 + slope, 1 - slope
