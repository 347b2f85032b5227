"""Knows evolution, in NumPy alone: it never sees ONNX, a session or a file."""

from onnx_evoq.search.neuroevolution import Neuroevolution

__all__ = ["Neuroevolution"]
