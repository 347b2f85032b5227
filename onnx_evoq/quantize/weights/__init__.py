"""Weights as codes on a fixed-point grid, and as the matrices of linear layers."""

from onnx_evoq.quantize.weights.arrays import arrays_of, weight_of
from onnx_evoq.quantize.weights.dense import Dense
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
)
from onnx_evoq.quantize.weights.linear import Linear
from onnx_evoq.quantize.weights.packed_size import packed_size, packed_steps
from onnx_evoq.quantize.weights.viewed import View, Viewed
from onnx_evoq.quantize.weights.window import Window

__all__ = [
    "Bits",
    "Dense",
    "FixedPoint",
    "GridSpec",
    "Linear",
    "QuantizedWeight",
    "Scale",
    "View",
    "Viewed",
    "Window",
    "arrays_of",
    "dequantize",
    "fit",
    "frac_bits_of",
    "int_bits",
    "nearest",
    "packed_size",
    "packed_steps",
    "weight_of",
]
