"""Preprocesses images and numbers: layout, resize, crop, colour, scale."""

from onnx_evoq.data.preprocess.resize import (
    require_pillow,
    resized,
    resized_arrays,
    resized_to,
)
from onnx_evoq.data.preprocess.steps import (
    CHANNELS,
    Preprocess,
    centre_crop,
    channels_last,
    scale,
)

__all__ = [
    "CHANNELS",
    "Preprocess",
    "centre_crop",
    "channels_last",
    "require_pillow",
    "resized",
    "resized_arrays",
    "resized_to",
    "scale",
]
