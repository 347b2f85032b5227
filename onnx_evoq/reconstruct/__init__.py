"""Reconstructs a network in closed form, layer by layer."""

from onnx_evoq.reconstruct.equalization import balance
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers
from onnx_evoq.reconstruct.output_correction import steer_layers

__all__ = [
    "Reconstructed",
    "balance",
    "reconstruct_layers",
    "steer_layers",
]
