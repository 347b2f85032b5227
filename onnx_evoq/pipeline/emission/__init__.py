"""Emits a model, makes sure that it computes what was scored, and says of it how it was made."""

from onnx_evoq.pipeline.emission.emit import Form, Storage, emit, fixed_for
from onnx_evoq.pipeline.emission.metadata import metadata_of, seal
from onnx_evoq.pipeline.emission.own_outputs import with_own_outputs
from onnx_evoq.pipeline.emission.qonnx import in_qonnx
from onnx_evoq.pipeline.emission.record import Record, changed, off_their_grids, record_of

__all__ = [
    "Form",
    "Record",
    "Storage",
    "changed",
    "emit",
    "fixed_for",
    "in_qonnx",
    "metadata_of",
    "off_their_grids",
    "record_of",
    "seal",
    "with_own_outputs",
]
