"""Knows numbers, in NumPy alone: the fixed-point format and nearest rounding."""

from onnx_evoq.quantize.fixed_point import (
    FixedPoint,
    QuantizedWeight,
    Scale,
    dequantize,
    fit,
    int_bits,
    nearest,
)

__all__ = ["FixedPoint", "QuantizedWeight", "Scale", "dequantize", "fit", "int_bits", "nearest"]
