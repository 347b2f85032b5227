"""The metrics that score a model's outputs, and the reference or labels that they compare with."""

from onnx_evoq.metrics.channel_errors import channel_errors
from onnx_evoq.metrics.channel_power import shared_power
from onnx_evoq.metrics.criterion import Criterion
from onnx_evoq.metrics.metric import METRIC_NAMES, Metric, MetricName, find_metric, output_error
from onnx_evoq.metrics.output_layout import Layouts, output_layouts
from onnx_evoq.metrics.output_metrics import PerSample, largest_difference
from onnx_evoq.metrics.task_metrics import check_labels, class_numbers, class_scores

__all__ = [
    "METRIC_NAMES",
    "Criterion",
    "Layouts",
    "Metric",
    "MetricName",
    "PerSample",
    "channel_errors",
    "check_labels",
    "class_numbers",
    "class_scores",
    "find_metric",
    "largest_difference",
    "output_error",
    "output_layouts",
    "shared_power",
]
