"""Puts the steps of a job in their order."""

from onnx_evoq.pipeline.emission import Form, emit, metadata_of
from onnx_evoq.pipeline.refine import equalize, evolve
from onnx_evoq.pipeline.strategies import (
    DEFAULT_STRATEGY,
    Strategy,
    StrategyName,
    fine_tune,
    from_nearest,
    from_reconstruction,
)

__all__ = [
    "DEFAULT_STRATEGY",
    "Form",
    "Strategy",
    "StrategyName",
    "emit",
    "equalize",
    "evolve",
    "fine_tune",
    "from_nearest",
    "from_reconstruction",
    "metadata_of",
]
