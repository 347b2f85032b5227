"""Knows what a graph says about its inputs: axes, uses, and the sizes that constants demand."""

from onnx_evoq.model.inputs.axis_names import axis_names
from onnx_evoq.model.inputs.inferred_shapes import ShapeInference
from onnx_evoq.model.inputs.pooled import pooled_tensors
from onnx_evoq.model.inputs.size_demands import SizeDemand, SizeDemands
from onnx_evoq.model.inputs.uses import input_uses
from onnx_evoq.model.inputs.what_uses_say import InputUses, RowIndex

__all__ = [
    "InputUses",
    "RowIndex",
    "ShapeInference",
    "SizeDemand",
    "SizeDemands",
    "axis_names",
    "input_uses",
    "pooled_tensors",
]
