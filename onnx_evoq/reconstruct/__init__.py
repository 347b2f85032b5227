"""Reconstructs a network layer by layer in closed form, and corrects its outputs."""

from onnx_evoq.reconstruct.equalization import equalize_layers
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.reconstruct.output_correction import correct_outputs

__all__ = [
    "QuantizedModel",
    "correct_outputs",
    "equalize_layers",
    "reconstruct_layers",
]
