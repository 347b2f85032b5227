"""Metrics by name: how outputs are scored, and whether more is better."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.errors import MetricError, ModelError
from onnx_evoq.metrics import output_metrics, task_metrics
from onnx_evoq.metrics.output_layout import Layouts
from onnx_evoq.metrics.output_metrics import Outputs, PerSample
from onnx_evoq.user_function import is_import_path, load_function, messages_apart

Labels = Array
MetricName = str | Callable[..., Any]  # the name of a metric, or a user's function


@dataclass(frozen=True)
class Metric:
    """A way to score outputs.

    Attributes:
        name: the name in reports.
        higher_is_better: whether more is better.
        against: what outputs are compared with: "reference" for the float model's outputs,
            "labels", or "user" for a user's function, which takes all outputs and the labels.
        measure: the function that scores. For "reference" it takes outputs, reference outputs and
            the layouts of the outputs; for "labels" class scores, labels and whether the scores are
            probabilities; both return one number per sample, (samples,). For "user" it takes the
            outputs and labels of all samples, and returns one number.
        of_whole_outputs: whether it measures differences of whole outputs, of which small channels
            are a small part.
    """

    name: str
    higher_is_better: bool
    against: str
    measure: Callable[..., Any]
    of_whole_outputs: bool = False

    def fitness(self, value: float) -> float:
        """The number that a search minimises: the value or its negative; NaN becomes infinity."""
        if math.isnan(value):
            return math.inf
        return -value if self.higher_is_better else value

    def value_of(self, fitness: float) -> float:
        """The value that has this fitness."""
        return -fitness if self.higher_is_better else fitness

    def per_sample(
        self,
        outputs: Outputs,
        reference: Outputs | None,
        labels: Labels | None,
        layouts: Layouts,
    ) -> PerSample:
        """A built-in metric of each sample, (samples,); their mean is the value of the metric.

        Args:
            outputs: a model's outputs, (samples, ...) each.
            reference: the float model's outputs; may be None for a metric against labels.
            labels: (samples,); may be None for a metric against the reference.
            layouts: of the outputs, by name.

        Raises:
            ModelError: an output has another shape than its reference.
            MetricError: the metric needs class scores, and the first output is no row of them.
            DataError: the metric needs labels, and they are no class numbers.
        """
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity score as the worst
            if self.against == "labels":
                assert labels is not None  # Target checks it
                scores = task_metrics.class_scores(outputs)
                whole = task_metrics.check_labels(labels, scores.shape[1])
                layout = layouts[task_metrics.scores_name(outputs)]
                return np.asarray(self.measure(scores, whole, layout.probabilities))
            assert reference is not None  # Target checks it
            _check_shapes(outputs, reference)
            return np.asarray(self.measure(outputs, reference, layouts))

    def user_value(self, outputs: Outputs, labels: Labels | None) -> float:
        """The value of a user's metric; it may be NaN.

        Args:
            outputs: the outputs for all samples, (samples, ...) each.
            labels: (samples,), or None where there are none.

        Raises:
            MetricError: the function raises, or returns something else than a number.
        """
        try:
            with messages_apart():
                value = self.measure(dict(outputs), labels)
        except (Exception, SystemExit) as cause:  # the user's function may raise anything
            raise MetricError(
                f"metric {self.name!r} failed: {type(cause).__name__}: {cause}"
            ) from cause
        try:
            return float(value)
        except (TypeError, ValueError) as cause:
            raise MetricError(
                f"metric {self.name!r} returned {type(value).__name__}: return one number."
            ) from cause


_BUILT_IN: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mse", False, "reference", output_metrics.mse, of_whole_outputs=True),
        Metric("kl", False, "reference", output_metrics.kl),
        Metric("cosine", True, "reference", output_metrics.cosine, of_whole_outputs=True),
        Metric("sqnr", True, "reference", output_metrics.sqnr, of_whole_outputs=True),
        Metric("nmse", False, "reference", output_metrics.nmse, of_whole_outputs=True),
        Metric("channel_nmse", False, "reference", output_metrics.channel_nmse),
        Metric("agreement", True, "reference", output_metrics.agreement),
        Metric("top1", True, "labels", task_metrics.top1),
        Metric("top5", True, "labels", task_metrics.top5),
        Metric("cross_entropy", False, "labels", task_metrics.cross_entropy),
    )
}
METRIC_NAMES = tuple(_BUILT_IN)


def find_metric(name: MetricName) -> Metric:
    """The built-in metric of this name, or a user's function as a metric.

    A user's function takes the outputs, name -> (samples, ...), and the labels (or None). Where
    samples have outputs (or labels) of different shapes, they are an array of objects, (samples,),
    of one array each. It returns one number. An attribute says whether more is better::

        def f1(outputs, labels): ...
        f1.higher_is_better = True

    Args:
        name: one of `METRIC_NAMES`, ``package.module:function``, ``file.py:function``, or a
            function.

    Raises:
        MetricError: there is no such metric, or the function lacks the attribute.
    """
    if callable(name):
        return _user_metric(getattr(name, "__name__", "metric"), name)
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if is_import_path(name):
        return _user_metric(name, load_function(name, MetricError))
    raise MetricError(
        f"unknown metric {name!r}: choose auto, {', '.join(METRIC_NAMES)}, "
        "or a function of your own as package.module:function."
    )


def output_error(outputs: Outputs, layouts: Layouts, feed: Outputs) -> Metric:
    """The metric that measures the error of a model's outputs, where the user chose none.

    1. agreement, where no output holds floats;
    2. mse for one output of floats whose channels are alike, or which has the shape of an input, as
       that of an autoencoder has;
    3. channel_nmse for all others, so that each output and each channel counts.

    Args:
        outputs: the float model's outputs for a batch, (samples, ...) each.
        layouts: of the outputs, by name.
        feed: the inputs of that batch.
    """
    floats = [name for name, values in outputs.items() if values.dtype.kind == "f"]
    if not floats:
        return find_metric("agreement")
    shape = outputs[floats[0]].shape
    rebuilds = any(values.shape in (shape, shape[1:]) for values in feed.values())
    alike = layouts[floats[0]].channels is None
    return find_metric("mse" if len(floats) == 1 and (alike or rebuilds) else "channel_nmse")


def _check_shapes(outputs: Outputs, reference: Outputs) -> None:
    for name, expected in reference.items():
        if outputs[name].shape != expected.shape:
            raise ModelError(
                f"output {name!r} has shape {outputs[name].shape[1:]} instead of the float model's "
                f"{expected.shape[1:]}: export the model without nodes that select "
                "(NonZero or NonMaxSuppression, for example)."
            )


def _user_metric(name: str, function: Callable[..., Any]) -> Metric:
    higher = getattr(function, "higher_is_better", None)
    if not isinstance(higher, bool):
        raise MetricError(
            f"metric {name!r} does not say which way is better: set "
            f"{getattr(function, '__name__', 'function')}.higher_is_better = True (or False)."
        )
    return Metric(name, higher, "user", function)
