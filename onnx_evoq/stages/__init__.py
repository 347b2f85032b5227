"""Knows the steps of a job: functions from plain data to plain data, in the order of `api`."""

from onnx_evoq.stages.comparison import default_metric, named_alike, not_finite, outputs_of
from onnx_evoq.stages.emission import Form, emit, metadata_of
from onnx_evoq.stages.experiment import find_samples, prepare
from onnx_evoq.stages.fine_tuning import from_nearest, from_reconstruction
from onnx_evoq.stages.guard import drop_guard, drop_measure, within
from onnx_evoq.stages.hypervolumes import hypervolumes
from onnx_evoq.stages.layerwise import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
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
from onnx_evoq.stages.mixing import search_front
from onnx_evoq.stages.plan import Granularities, Granularity, bits_of, nearest_of
from onnx_evoq.stages.policy import Policy, apply_policy, policy_from
from onnx_evoq.stages.rebuilding import Point
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
    "TOGETHER_FROM_NEAREST",
    "TOGETHER_FROM_RECONSTRUCTION",
    "Evolved",
    "Form",
    "Granularities",
    "Granularity",
    "Point",
    "Policy",
    "Resources",
    "Score",
    "Task",
    "apply_policy",
    "bits_of",
    "check_bits",
    "check_choices",
    "check_limits",
    "check_seed",
    "default_metric",
    "drop_guard",
    "drop_measure",
    "emit",
    "find_samples",
    "fold_if_exact",
    "from_nearest",
    "from_reconstruction",
    "hypervolumes",
    "metadata_of",
    "model_value",
    "named_alike",
    "nearest_of",
    "not_finite",
    "open_subject",
    "outputs_of",
    "policy_from",
    "prepare",
    "rank_weights",
    "score_of",
    "search_front",
    "within",
]
