"""Knows the file of a model: reads and checks it, and brings it into normal form."""

from onnx_evoq.model.files.load import data_files, load, name_of, size_in_bytes
from onnx_evoq.model.files.validity import check_valid

__all__ = ["check_valid", "data_files", "load", "name_of", "size_in_bytes"]
