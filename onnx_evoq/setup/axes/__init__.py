"""Knows which axes of inputs have one size, and which sizes to try for those that are open."""

from onnx_evoq.setup.axes.demanded_sizes import demanded_sizes
from onnx_evoq.setup.axes.images import image_axes, is_image
from onnx_evoq.setup.axes.layout import Layout, layouts
from onnx_evoq.setup.axes.sizes import Alternative, added_up, sizes_to_try
from onnx_evoq.setup.axes.text_lines import text_line

__all__ = [
    "Alternative",
    "Layout",
    "added_up",
    "demanded_sizes",
    "image_axes",
    "is_image",
    "layouts",
    "sizes_to_try",
    "text_line",
]
