"""Puts the steps of a job in their order."""

from onnx_evoq.pipeline.emission import Form, emit, metadata_of
from onnx_evoq.pipeline.strategies import DEFAULT_STRATEGY, Strategy, StrategyName, fine_tune

__all__ = [
    "DEFAULT_STRATEGY",
    "Form",
    "Strategy",
    "StrategyName",
    "emit",
    "fine_tune",
    "metadata_of",
]
