"""Knows which tensors of a model can be compared, and gives a model other outputs."""

from onnx_evoq.model.outputs.chosen_points import chosen_points
from onnx_evoq.model.outputs.effective_weights import stored_weights, weights_before
from onnx_evoq.model.outputs.output_hints import output_hints
from onnx_evoq.model.outputs.scoring_points import ScoringPoints, find_scoring_points
from onnx_evoq.model.outputs.set_outputs import (
    Output,
    has_tensors,
    outputs_at,
    outputs_of_model,
    replace_outputs,
    restore_outputs,
    with_outputs,
)

__all__ = [
    "Output",
    "ScoringPoints",
    "chosen_points",
    "find_scoring_points",
    "has_tensors",
    "output_hints",
    "outputs_at",
    "outputs_of_model",
    "replace_outputs",
    "restore_outputs",
    "stored_weights",
    "weights_before",
    "with_outputs",
]
