"""Knows the file of a model: reads and checks it, and brings it into normal form."""

from onnx_evoq.model.files.content import content_hash
from onnx_evoq.model.files.graph_hash import graph_hash
from onnx_evoq.model.files.load import as_written, data_files, load, name_of, size_in_bytes
from onnx_evoq.model.files.validity import check_valid

__all__ = [
    "as_written",
    "check_valid",
    "content_hash",
    "data_files",
    "graph_hash",
    "load",
    "name_of",
    "size_in_bytes",
]
