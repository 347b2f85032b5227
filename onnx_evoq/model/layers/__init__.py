"""Knows the layers of a graph: their matrices, biases and activations, and how to fold them."""

from onnx_evoq.model.layers.batch_norm_folding import fold_batch_norm
from onnx_evoq.model.layers.biases import bias_values, float_bias, initializer_values
from onnx_evoq.model.layers.clip_limits import clip_limits, with_scaled_limits
from onnx_evoq.model.layers.closed_form import find_layers
from onnx_evoq.model.layers.layer import Layer
from onnx_evoq.model.layers.linear_layers import LinearLayer, linear_layers
from onnx_evoq.model.layers.own_biases import own_biases

__all__ = [
    "Layer",
    "LinearLayer",
    "bias_values",
    "clip_limits",
    "find_layers",
    "float_bias",
    "fold_batch_norm",
    "initializer_values",
    "linear_layers",
    "own_biases",
    "with_scaled_limits",
]
