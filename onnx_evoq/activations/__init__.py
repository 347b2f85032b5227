"""Integer activations: which tensors are quantized, their grids, and the model that results."""

from onnx_evoq.activations.integer_model import float_model_of, integer_model
from onnx_evoq.activations.placement import Activations
from onnx_evoq.activations.quantized import quantize_activations
from onnx_evoq.activations.sensitivity import activation_sensitivity
from onnx_evoq.activations.sweep import swept

__all__ = [
    "Activations",
    "activation_sensitivity",
    "float_model_of",
    "integer_model",
    "quantize_activations",
    "swept",
]
