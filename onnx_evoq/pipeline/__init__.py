"""Puts the steps of a job in their order."""

from onnx_evoq.pipeline.emission import Form, emit, metadata_of
from onnx_evoq.pipeline.strategies import from_nearest, from_reconstruction

__all__ = [
    "Form",
    "emit",
    "from_nearest",
    "from_reconstruction",
    "metadata_of",
]
