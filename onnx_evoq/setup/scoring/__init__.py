"""Knows what models are scored on: at which tensors, on which samples, by which metric."""

from onnx_evoq.setup.scoring.drawn_otherwise import DrawnOtherwise
from onnx_evoq.setup.scoring.metric_checks import (
    check_metric,
    labels_are_classes,
    notes_on_accuracy,
)
from onnx_evoq.setup.scoring.points import (
    NO_POINTS,
    OwnOutputs,
    Points,
    points_of,
    score_at_points,
)
from onnx_evoq.setup.scoring.scoring_set import Measured, ScoringSet, as_scored, model_value, run_on

__all__ = [
    "NO_POINTS",
    "DrawnOtherwise",
    "Measured",
    "OwnOutputs",
    "Points",
    "ScoringSet",
    "as_scored",
    "check_metric",
    "labels_are_classes",
    "model_value",
    "notes_on_accuracy",
    "points_of",
    "run_on",
    "score_at_points",
]
