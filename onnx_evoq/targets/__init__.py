"""What the runtimes take that a model is made for, as plain data, and what contradicts it."""

from onnx_evoq.targets.contradictions import check_target
from onnx_evoq.targets.known import ONNXRUNTIME, TARGETS, Target, TargetName, find_target

__all__ = [
    "ONNXRUNTIME",
    "TARGETS",
    "Target",
    "TargetName",
    "check_target",
    "find_target",
]
