"""Reconstructs a network layer by layer in closed form, and corrects its outputs."""

from onnx_evoq.reconstruct.equalization import (
    ChannelScaling,
    channel_scaling,
    equalization_seconds,
    equalize_channels,
    equalize_layers,
)
from onnx_evoq.reconstruct.layer_by_layer import (
    QuantizedModel,
    ReconstructionInterrupted,
    layer_sizes,
    reconstruct_layers,
)
from onnx_evoq.reconstruct.memory_check import check_memory
from onnx_evoq.reconstruct.output_correction import correct_outputs
from onnx_evoq.reconstruct.plan import LayerSize, Plan

__all__ = [
    "ChannelScaling",
    "LayerSize",
    "Plan",
    "QuantizedModel",
    "ReconstructionInterrupted",
    "channel_scaling",
    "check_memory",
    "correct_outputs",
    "equalization_seconds",
    "equalize_channels",
    "equalize_layers",
    "layer_sizes",
    "reconstruct_layers",
]
