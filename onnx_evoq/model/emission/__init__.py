"""Writes quantized weights into a model, and counts the bytes that they take."""

from onnx_evoq.model.emission.emit import (
    Quantized,
    describe,
    emit_float,
    emit_qdq,
    replace_weights,
)
from onnx_evoq.model.emission.fixed_batch import fixed_batch
from onnx_evoq.model.emission.opset import at_opset, dequantizer, lowered
from onnx_evoq.model.emission.packed import bytes_besides, packed_bytes
from onnx_evoq.model.emission.saving import data_file_of, embed, in_one_file, save

__all__ = [
    "Quantized",
    "at_opset",
    "bytes_besides",
    "data_file_of",
    "dequantizer",
    "describe",
    "embed",
    "emit_float",
    "emit_qdq",
    "fixed_batch",
    "in_one_file",
    "lowered",
    "packed_bytes",
    "replace_weights",
    "save",
]
