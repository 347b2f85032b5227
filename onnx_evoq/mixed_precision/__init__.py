"""Mixed precision: searches for the widths of layers, and for the channels to split."""

from onnx_evoq.mixed_precision.hypervolumes import hypervolumes
from onnx_evoq.mixed_precision.point import ParetoPoint
from onnx_evoq.mixed_precision.search import search_front
from onnx_evoq.mixed_precision.search_space import (
    Policy,
    SearchSpaceOptions,
    apply_policy,
    policy_from,
)

__all__ = [
    "ParetoPoint",
    "Policy",
    "SearchSpaceOptions",
    "apply_policy",
    "hypervolumes",
    "policy_from",
    "search_front",
]
