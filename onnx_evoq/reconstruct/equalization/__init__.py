"""Scales channels or whole layers before a reconstruction, so that rounding costs less."""

from onnx_evoq.reconstruct.equalization.channel_equalization import (
    ChannelScaling,
    channel_scaling,
    equalization_seconds,
    equalize_channels,
)
from onnx_evoq.reconstruct.equalization.layer_equalization import equalize_layers

__all__ = [
    "ChannelScaling",
    "channel_scaling",
    "equalization_seconds",
    "equalize_channels",
    "equalize_layers",
]
