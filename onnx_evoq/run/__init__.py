"""Knows time: how long a run may take, and how it shows its progress."""

from onnx_evoq.run.bars import bars
from onnx_evoq.run.deadline import Deadline
from onnx_evoq.run.stop import Stopped, until_interrupted

__all__ = [
    "Deadline",
    "Stopped",
    "bars",
    "until_interrupted",
]
