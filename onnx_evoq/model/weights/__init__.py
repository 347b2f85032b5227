"""Knows which initializers of a graph are weights, and what multiplies them."""

from onnx_evoq.model.weights.equations import equation_of
from onnx_evoq.model.weights.views import path_to_initializer, views_of
from onnx_evoq.model.weights.weights import (
    Skipped,
    Weight,
    check_finite,
    find_weights,
    has_weights,
    weight_inputs,
    weight_operators,
    weights_named,
)

__all__ = [
    "Skipped",
    "Weight",
    "check_finite",
    "equation_of",
    "find_weights",
    "has_weights",
    "path_to_initializer",
    "views_of",
    "weight_inputs",
    "weight_operators",
    "weights_named",
]
