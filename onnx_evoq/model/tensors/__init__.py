"""Knows where the values of a tensor are: in the model's file, or in a data file beside it."""

from onnx_evoq.model.tensors.data_files import IN_MEMORY, file_of, settle
from onnx_evoq.model.tensors.packing import tensor_of_codes
from onnx_evoq.model.tensors.place import clear, is_external, place_of, state
from onnx_evoq.model.tensors.sizes import bytes_of, count_of
from onnx_evoq.model.tensors.sparse import dense
from onnx_evoq.model.tensors.values import array_of, read
from onnx_evoq.model.tensors.writing import DataFile, raw_blocks

__all__ = [
    "IN_MEMORY",
    "DataFile",
    "array_of",
    "bytes_of",
    "clear",
    "count_of",
    "dense",
    "file_of",
    "is_external",
    "place_of",
    "raw_blocks",
    "read",
    "settle",
    "state",
    "tensor_of_codes",
]
