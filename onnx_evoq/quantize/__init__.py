"""Knows numbers, in NumPy alone: the fixed-point format, nearest rounding, reconstruction."""

from onnx_evoq.quantize.balance import Profile, choose_scales, round_alone
from onnx_evoq.quantize.fixed_point import (
    FixedPoint,
    QuantizedWeight,
    Scale,
    dequantize,
    fit,
    int_bits,
    nearest,
)
from onnx_evoq.quantize.linear import Dense, Linear, Window
from onnx_evoq.quantize.moments import Moments, MomentSums
from onnx_evoq.quantize.reconstruct import Reconstruction, reconstruct, row_steps
from onnx_evoq.quantize.steer import Steering, steer

__all__ = [
    "Dense",
    "FixedPoint",
    "Linear",
    "MomentSums",
    "Moments",
    "Profile",
    "QuantizedWeight",
    "Reconstruction",
    "Scale",
    "Steering",
    "Window",
    "choose_scales",
    "dequantize",
    "fit",
    "int_bits",
    "nearest",
    "reconstruct",
    "round_alone",
    "row_steps",
    "steer",
]
