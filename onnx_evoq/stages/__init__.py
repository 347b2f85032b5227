"""Knows the steps of a job: functions from plain data to plain data, in the order of `api`."""

from onnx_evoq.stages.comparison import default_metric, named_alike, not_finite, outputs_of
from onnx_evoq.stages.emission import Form, emit, metadata_of
from onnx_evoq.stages.experiment import find_samples, prepare
from onnx_evoq.stages.fine_tuning import from_nearest, from_reconstruction
from onnx_evoq.stages.guard import drop_guard
from onnx_evoq.stages.layerwise import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    Evolved,
)
from onnx_evoq.stages.limits import (
    MAX_BITS,
    MIN_BITS,
    check_bits,
    check_choices,
    check_limits,
    check_seed,
)
from onnx_evoq.stages.plan import Granularity, bits_of, nearest_of
from onnx_evoq.stages.resources import Resources
from onnx_evoq.stages.scores import Score, score_of
from onnx_evoq.stages.scoring import model_value
from onnx_evoq.stages.sensitivity import rank_weights
from onnx_evoq.stages.subject import fold_if_exact, open_subject
from onnx_evoq.stages.task import Task

__all__ = [
    "FROM_NEAREST",
    "FROM_RECONSTRUCTION",
    "MAX_BITS",
    "MIN_BITS",
    "Evolved",
    "Form",
    "Granularity",
    "Resources",
    "Score",
    "Task",
    "bits_of",
    "check_bits",
    "check_choices",
    "check_limits",
    "check_seed",
    "default_metric",
    "drop_guard",
    "emit",
    "find_samples",
    "fold_if_exact",
    "from_nearest",
    "from_reconstruction",
    "metadata_of",
    "model_value",
    "named_alike",
    "nearest_of",
    "not_finite",
    "open_subject",
    "outputs_of",
    "prepare",
    "rank_weights",
    "score_of",
]
