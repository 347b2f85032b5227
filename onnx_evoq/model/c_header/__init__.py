"""Writes a quantized model as a C header: codes, steps and biases of its layers, and a table."""

from onnx_evoq.model.c_header.header import c_header_of

__all__ = ["c_header_of"]
