"""Emits a model, and makes sure that it computes what was scored."""

from onnx_evoq.pipeline.emission.emit import Form, Storage, emit, fixed_for
from onnx_evoq.pipeline.emission.metadata import metadata_of
from onnx_evoq.pipeline.emission.own_outputs import with_own_outputs
from onnx_evoq.pipeline.emission.qonnx import in_qonnx

__all__ = ["Form", "Storage", "emit", "fixed_for", "in_qonnx", "metadata_of", "with_own_outputs"]
