"""Knows the layers of a graph: their biases and activations, how to fold them and cut at them."""

from onnx_evoq.model.layers.batch_norm_folding import fold_batch_norm
from onnx_evoq.model.layers.biases import (
    bias_values,
    float_bias,
    initializer_values,
    own_biases,
)
from onnx_evoq.model.layers.clip_limits import clip_limits, with_scaled_limits
from onnx_evoq.model.layers.closed_form import find_layers
from onnx_evoq.model.layers.cut import Cut, bridge, cut_at, frontier_before, suffix, uncut
from onnx_evoq.model.layers.layer import Layer
from onnx_evoq.model.layers.linear_layers import LinearLayer, linear_layers

__all__ = [
    "Cut",
    "Layer",
    "LinearLayer",
    "bias_values",
    "bridge",
    "clip_limits",
    "cut_at",
    "find_layers",
    "float_bias",
    "fold_batch_norm",
    "frontier_before",
    "initializer_values",
    "linear_layers",
    "own_biases",
    "suffix",
    "uncut",
    "with_scaled_limits",
]
