"""Rounding that keeps the sums of errors in kernels and rows, for layers without calibration data.

The inputs of a layer are usually similar to each other: behind a Relu none is negative, and
neighbours in an image resemble each other. If nothing else is known of them, the error of the
layer's output is about

    ALONE * sum_i e_i^2 + KERNEL * sum_k (sum_{i in k} e_i)^2 + ROW * (sum_i e_i)^2

with e the errors of a row's codes in steps, and k the columns that belong to one input channel (a
kernel). Nearest rounding minimises the first sum only. SQuant (arXiv 2202.07471) lowers the others:
in each kernel, and then in each row, the codes closest to a tie move by one, until the sum of the
errors is below one half. How much each sum counts differs from layer to layer, so several roundings
are offered.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float32Array, Float64Array
from onnx_evoq.quantize.grid.grid_rows import Limit, row_grid
from onnx_evoq.quantize.weights import Linear, QuantizedWeight

# Shares of the sums over kernels and over rows that are removed.
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
    """Roundings of a layer's weight that keep the sums of its kernels and rows.

    Args:
        values: the float weight, in its own shape.
        weight: the same weight, rounded to the nearest.
        layer: how the weight becomes a matrix.

    Returns:
        The codes of each rounding, int8, in the weight's shape. They differ from each other and
        from nearest rounding.
    """
    codes, grid = weight
    rows = row_grid(grid, layer, values.shape)
    scaled = layer.matrix(values) / rows.steps  # (groups, rows, columns)
    low, high = (np.broadcast_to(limit, scaled.shape) for limit in (rows.low, rows.high))
    by_kernel = (*scaled.shape[:2], -1, layer.taps)
    roundings = {codes.tobytes(): codes}
    for kernel_share, row_share in RESTORED_SHARES:
        matrix = layer.matrix(codes).astype(np.float64)
        real, whole, least, most = (part.reshape(by_kernel) for part in (scaled, matrix, low, high))
        matrix = keep_sums(real, whole, least, most, kernel_share).reshape(scaled.shape)
        matrix = keep_sums(scaled, matrix, low, high, row_share)
        rounding = layer.weight(matrix, values.shape).astype(np.int8)
        roundings.setdefault(rounding.tobytes(), rounding)
    return list(roundings.values())[1:]


def keep_sums(
    values: Float64Array, codes: Float64Array, low: Limit, high: Limit, share: float = 1.0
) -> Float64Array:
    """Codes whose sum over the last axis is that of `values`, or close to it.

    The codes closest to a tie move by one, as many of them as the error of the sum asks for.

    Args:
        values: real numbers in steps, (..., count).
        codes: whole numbers near to `values`, in the same shape.
        low: smallest code: a number, or an array that broadcasts to that shape.
        high: largest code: a number, or an array that broadcasts to that shape.
        share: share of the sum's error that is removed.

    Example:
        >>> keep_sums(np.array([0.3, 0.4, 0.4]), np.zeros(3), -8, 7)
        array([0., 1., 0.])
    """
    errors = codes - values
    excess = errors.sum(axis=-1, keepdims=True)
    move = -np.sign(excess)
    # A move changes the square of an error by 1 + 2 * move * error.
    cost = np.where((codes + move >= low) & (codes + move <= high), move * errors, np.inf)
    order = np.argsort(cost, axis=-1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[-1]), axis=-1)
    moves = (rank < np.rint(share * np.abs(excess))) & np.isfinite(cost)
    return np.asarray(codes + move * moves)


def cost_with_sums(
    values: Float32Array, weight: QuantizedWeight, layer: Linear
) -> tuple[NDArray[Any], NDArray[Any]]:
    """How much the error above changes if one code moves by +1, and if it moves by -1.

    Args:
        values: the float weight, in its own shape.
        weight: the codes and their grid.
        layer: how the weight becomes a matrix.

    Returns:
        Both changes for each code, in the weight's shape.
    """
    codes, grid = weight
    steps = row_grid(grid, layer, values.shape).steps
    errors = layer.matrix(codes) - layer.matrix(values) / steps
    kernels = errors.reshape(*errors.shape[:2], -1, layer.taps)
    gradient = _ALONE * errors + _ROW * errors.sum(axis=-1, keepdims=True)
    gradient += _KERNEL * np.repeat(kernels.sum(axis=-1), layer.taps, axis=-1)
    slope = 2 * layer.weight(gradient, values.shape)
    return 1 + slope, 1 - slope
