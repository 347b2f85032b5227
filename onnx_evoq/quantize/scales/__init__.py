"""Scales of layers and of channels: cross-layer equalization."""

from onnx_evoq.quantize.scales.channel_scales import best_steps, channel_scales
from onnx_evoq.quantize.scales.equalize import Profile, choose_scales, round_alone
from onnx_evoq.quantize.scales.scaled_layer import ScaledLayer, activation_as_layer
from onnx_evoq.quantize.scales.unexplained_power import unexplained_power

__all__ = [
    "Profile",
    "ScaledLayer",
    "activation_as_layer",
    "best_steps",
    "channel_scales",
    "choose_scales",
    "round_alone",
    "unexplained_power",
]
