"""Functions with the arguments of other tools, for those who have used these."""

from onnx_evoq.drop_in.quantize_static import quantize_static

__all__ = ["quantize_static"]
