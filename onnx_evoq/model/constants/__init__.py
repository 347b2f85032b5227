"""Knows which tensors of a graph are constants, and computes them."""

from onnx_evoq.model.constants.fold import fold_constants
from onnx_evoq.model.constants.one_node import (
    MOST_VALUES,
    NodeValues,
    Shape,
    count,
    shapes_of,
    values_of,
)

__all__ = [
    "MOST_VALUES",
    "NodeValues",
    "Shape",
    "count",
    "fold_constants",
    "shapes_of",
    "values_of",
]
