"""Quantizes a model by a strategy, and emits it: the steps of a job in their order."""

from onnx_evoq.pipeline.activation_start import better_start, with_simulated
from onnx_evoq.pipeline.emission import Form, Storage, emit, fixed_for, metadata_of
from onnx_evoq.pipeline.final_check import FinalCheck
from onnx_evoq.pipeline.fine_tuning import FineTuned, fine_tune, from_nearest, from_reconstruction
from onnx_evoq.pipeline.qonnx import in_qonnx
from onnx_evoq.pipeline.refine import equalize, evolve
from onnx_evoq.pipeline.strategy import DEFAULT_STRATEGY, Strategy, StrategyName
from onnx_evoq.pipeline.target_choice import choose_target, granularities_for, notes_on_target

__all__ = [
    "DEFAULT_STRATEGY",
    "FinalCheck",
    "FineTuned",
    "Form",
    "Storage",
    "Strategy",
    "StrategyName",
    "better_start",
    "choose_target",
    "emit",
    "equalize",
    "evolve",
    "fine_tune",
    "fixed_for",
    "from_nearest",
    "from_reconstruction",
    "granularities_for",
    "in_qonnx",
    "metadata_of",
    "notes_on_target",
    "with_simulated",
]
