"""Writes models in QONNX, whose Quant nodes say the exact width of each tensor."""

from onnx_evoq.model.qonnx.from_qdq import emit_qonnx

__all__ = ["emit_qonnx"]
