"""Knows time: how long a run may take, and how it shows its progress."""

from onnx_evoq.run.bars import bars
from onnx_evoq.run.deadline import Deadline

__all__ = [
    "Deadline",
    "bars",
]
