"""Knows the fixed-point grid, and which of its points lies closest to real weights."""

from onnx_evoq.quantize.grid.closest_point import (
    CholeskyFactor,
    Limit,
    cholesky_factor,
    closest_codes,
    coordinate_descent,
    cost,
    gptq_rounding,
    pair_exchange,
    single_move_costs,
)
from onnx_evoq.quantize.grid.fixed_point import (
    Bits,
    FixedPoint,
    QuantizedWeight,
    Scale,
    dequantize,
    fit,
    int_bits,
    nearest,
    packed_size,
    packed_steps,
)
from onnx_evoq.quantize.grid.grid_rows import row_channels, row_limits, row_steps
from onnx_evoq.quantize.grid.linear import Dense, Linear, Window
from onnx_evoq.quantize.grid.sum_preserving import cost_with_sums, sum_preserving_roundings

__all__ = [
    "Bits",
    "CholeskyFactor",
    "Dense",
    "FixedPoint",
    "Limit",
    "Linear",
    "QuantizedWeight",
    "Scale",
    "Window",
    "cholesky_factor",
    "closest_codes",
    "coordinate_descent",
    "cost",
    "cost_with_sums",
    "dequantize",
    "fit",
    "gptq_rounding",
    "int_bits",
    "nearest",
    "packed_size",
    "packed_steps",
    "pair_exchange",
    "row_channels",
    "row_limits",
    "row_steps",
    "single_move_costs",
    "sum_preserving_roundings",
]
