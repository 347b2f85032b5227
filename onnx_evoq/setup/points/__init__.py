"""Finds the tensors at which a model is scored."""

from onnx_evoq.setup.points.score_points import (
    NO_POINTS,
    OwnOutputs,
    Points,
    points_of,
    score_at_points,
)

__all__ = ["NO_POINTS", "OwnOutputs", "Points", "points_of", "score_at_points"]
