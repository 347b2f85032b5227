"""Knows where the values of a tensor are: in the model's file, or in a data file beside it."""

from onnx_evoq.model.tensors.values import array_of, is_external

__all__ = ["array_of", "is_external"]
