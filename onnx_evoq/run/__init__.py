"""Knows time and failure: what runs in which order, for how long, and how it shows its progress."""

from onnx_evoq.run.bars import bars
from onnx_evoq.run.comparison import answers, default_metric, named_alike, not_finite
from onnx_evoq.run.deadline import Deadline
from onnx_evoq.run.emission import emit
from onnx_evoq.run.experiment import Experiment, find_samples, prepare
from onnx_evoq.run.guard import drop_guard
from onnx_evoq.run.layerwise import Evolved, LayerScores, Quantized, SearchSettings, evolve_layers
from onnx_evoq.run.limits import (
    MAX_BITS,
    MIN_BITS,
    check_bits,
    check_choices,
    check_limits,
    check_seed,
)
from onnx_evoq.run.plan import bits_of, grids_for, leave_out, nearest_codes
from onnx_evoq.run.scoring import ScoringSet, layer_evaluators, model_value
from onnx_evoq.run.sensitivity import rank_weights
from onnx_evoq.run.subject import Subject, fold_if_exact, open_subject, with_codes

__all__ = [
    "MAX_BITS",
    "MIN_BITS",
    "Deadline",
    "Evolved",
    "Experiment",
    "LayerScores",
    "Quantized",
    "ScoringSet",
    "SearchSettings",
    "Subject",
    "answers",
    "bars",
    "bits_of",
    "check_bits",
    "check_choices",
    "check_limits",
    "check_seed",
    "default_metric",
    "drop_guard",
    "emit",
    "evolve_layers",
    "find_samples",
    "fold_if_exact",
    "grids_for",
    "layer_evaluators",
    "leave_out",
    "model_value",
    "named_alike",
    "nearest_codes",
    "not_finite",
    "open_subject",
    "prepare",
    "rank_weights",
    "with_codes",
]
