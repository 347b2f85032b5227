"""Knows the fixed-point grid, and which of its points lies closest to real weights."""

from onnx_evoq.quantize.grid.closest_point import (
    Factor,
    Limit,
    closest,
    cost,
    descend,
    exchange,
    factor,
    feedback,
    move_costs,
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
from onnx_evoq.quantize.grid.sum_preserving import cost_with_sums, other_roundings

__all__ = [
    "Bits",
    "Dense",
    "Factor",
    "FixedPoint",
    "Limit",
    "Linear",
    "QuantizedWeight",
    "Scale",
    "Window",
    "closest",
    "cost",
    "cost_with_sums",
    "dequantize",
    "descend",
    "exchange",
    "factor",
    "feedback",
    "fit",
    "int_bits",
    "move_costs",
    "nearest",
    "other_roundings",
    "packed_size",
    "packed_steps",
    "row_channels",
    "row_limits",
    "row_steps",
]
