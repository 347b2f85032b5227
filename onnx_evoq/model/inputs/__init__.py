"""Knows what a graph says about its inputs: axes, uses, ranges, and the sizes that it demands."""

from onnx_evoq.model.inputs.axis_names import axis_names
from onnx_evoq.model.inputs.first_layer import first_layer
from onnx_evoq.model.inputs.inferred_shapes import ShapeInference
from onnx_evoq.model.inputs.norm_statistics import NormStatistics, computing, norm_statistics
from onnx_evoq.model.inputs.pooled import pooled_tensors
from onnx_evoq.model.inputs.scaling import InputScaling, input_scalings
from onnx_evoq.model.inputs.size_demands import SizeDemand, SizeDemands
from onnx_evoq.model.inputs.uses import input_uses
from onnx_evoq.model.inputs.what_uses_say import InputUses, RowIndex

__all__ = [
    "InputScaling",
    "InputUses",
    "NormStatistics",
    "RowIndex",
    "ShapeInference",
    "SizeDemand",
    "SizeDemands",
    "axis_names",
    "computing",
    "first_layer",
    "input_scalings",
    "input_uses",
    "norm_statistics",
    "pooled_tensors",
]
