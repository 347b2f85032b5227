"""Quantizes a model by a strategy, and emits it: the steps of a job in their order."""

from onnx_evoq.pipeline.emission import Form, Storage, emit, fixed_for, metadata_of
from onnx_evoq.pipeline.fine_tuning import FineTuned, fine_tune, from_nearest, from_reconstruction
from onnx_evoq.pipeline.qonnx import in_qonnx
from onnx_evoq.pipeline.refine import equalize, evolve
from onnx_evoq.pipeline.strategy import DEFAULT_STRATEGY, Strategy, StrategyName

__all__ = [
    "DEFAULT_STRATEGY",
    "FineTuned",
    "Form",
    "Storage",
    "Strategy",
    "StrategyName",
    "emit",
    "equalize",
    "evolve",
    "fine_tune",
    "fixed_for",
    "from_nearest",
    "from_reconstruction",
    "in_qonnx",
    "metadata_of",
]
