"""Knows numbers, in NumPy alone: the fixed-point format, nearest rounding, reconstruction."""

from onnx_evoq.quantize.balance import Profile, choose_scales, round_alone
from onnx_evoq.quantize.clamp import Clamp
from onnx_evoq.quantize.fixed_point import (
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
from onnx_evoq.quantize.ladder import Rung, ladder
from onnx_evoq.quantize.linear import Dense, Linear, Window
from onnx_evoq.quantize.reconstruct import (
    Reconstruction,
    reconstruct_behind,
    refit,
    row_limits,
    row_steps,
)
from onnx_evoq.quantize.samples import Chunk, Samples
from onnx_evoq.quantize.steer import Steering, steer
from onnx_evoq.quantize.sums import cost_with_sums, other_roundings

__all__ = [
    "Bits",
    "Chunk",
    "Clamp",
    "Dense",
    "FixedPoint",
    "Linear",
    "Profile",
    "QuantizedWeight",
    "Reconstruction",
    "Rung",
    "Samples",
    "Scale",
    "Steering",
    "Window",
    "choose_scales",
    "cost_with_sums",
    "dequantize",
    "fit",
    "int_bits",
    "ladder",
    "nearest",
    "other_roundings",
    "packed_size",
    "packed_steps",
    "reconstruct_behind",
    "refit",
    "round_alone",
    "row_limits",
    "row_steps",
    "steer",
]
