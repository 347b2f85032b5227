"""Knows what an emitted model holds: its quantized weights, notes at its nodes, and its hash."""

from onnx_evoq.model.emitted.coded_weights import CodedWeight, coded_weights
from onnx_evoq.model.emitted.width_notes import note_widths

__all__ = ["CodedWeight", "coded_weights", "note_widths"]
