"""Searches for a width for each layer."""

from onnx_evoq.mixed_precision.hypervolumes import hypervolumes
from onnx_evoq.mixed_precision.point import ParetoPoint
from onnx_evoq.mixed_precision.search import search_front

__all__ = [
    "ParetoPoint",
    "hypervolumes",
    "search_front",
]
