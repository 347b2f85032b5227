"""Knows ONNX Runtime: the only room that imports onnxruntime.

Sessions, predictions over samples, metrics, and the evaluator that scores candidates.
"""

from onnx_evoq.score.crew import Crew
from onnx_evoq.score.evaluator import Evaluator
from onnx_evoq.score.metric import METRIC_NAMES, Metric, MetricName, find_metric
from onnx_evoq.score.output_metrics import largest_difference
from onnx_evoq.score.predict import choose_batch_size, predict
from onnx_evoq.score.race import DOUBT, RUNGS, Race
from onnx_evoq.score.session import SESSION_OPTIONS, Session
from onnx_evoq.score.store import TensorStore
from onnx_evoq.score.target import Target
from onnx_evoq.score.task_metrics import check_labels, class_numbers, class_scores

__all__ = [
    "DOUBT",
    "METRIC_NAMES",
    "RUNGS",
    "SESSION_OPTIONS",
    "Crew",
    "Evaluator",
    "Metric",
    "MetricName",
    "Race",
    "Session",
    "Target",
    "TensorStore",
    "check_labels",
    "choose_batch_size",
    "class_numbers",
    "class_scores",
    "find_metric",
    "largest_difference",
    "predict",
]
