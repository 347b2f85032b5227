"""Weights as codes on a fixed-point grid, and as the matrices of linear layers."""

from onnx_evoq.quantize.weights.fixed_point import (
    Bits,
    FixedPoint,
    GridSpec,
    QuantizedWeight,
    Scale,
    dequantize,
    fit,
    frac_bits_of,
    int_bits,
    nearest,
    packed_size,
    packed_steps,
)
from onnx_evoq.quantize.weights.layer_matrix import Dense, Linear, Window

__all__ = [
    "Bits",
    "Dense",
    "FixedPoint",
    "GridSpec",
    "Linear",
    "QuantizedWeight",
    "Scale",
    "Window",
    "dequantize",
    "fit",
    "frac_bits_of",
    "int_bits",
    "nearest",
    "packed_size",
    "packed_steps",
]
