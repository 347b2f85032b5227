"""Mixed precision: searches for the widths of layers, and for the channels to split."""

from onnx_evoq.mixed_precision.hypervolumes import hypervolumes
from onnx_evoq.mixed_precision.point import ParetoPoint
from onnx_evoq.mixed_precision.search import search_front
from onnx_evoq.mixed_precision.search_space import SearchSpaceOptions

__all__ = [
    "ParetoPoint",
    "SearchSpaceOptions",
    "hypervolumes",
    "search_front",
]
