"""Score a model, quantized or not."""

import numpy as np

from onnx_evoq.api.job import DataSource, ModelSource
from onnx_evoq.data import as_data
from onnx_evoq.errors import MetricError
from onnx_evoq.metrics import Metric, MetricName, Target, find_metric
from onnx_evoq.model import input_specs, load, name_of
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import Evaluation
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    Resources,
    check_seed,
    default_metric,
    find_samples,
    named_alike,
    not_finite,
    outputs_of,
)


def evaluate(
    model: ModelSource,
    data: DataSource = None,
    *,
    metric: MetricName = "auto",
    reference: ModelSource | None = None,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Evaluation:
    """Score a model, and compare its outputs with those of a reference model.

    Args:
        model: any ONNX model, quantized or not.
        data: as for `optimize`.
        metric: "auto" for top-1 where labels are classes of the first output, else the mean
            squared error against `reference`; or the name of a metric, or a function.
        reference: the float model to compare with.
        seed: of synthetic inputs.
        resources: what may be used of the machine.
        progress: shows how far it is.

    Returns:
        The score, and how far the outputs are from the reference's.

    Raises:
        EvoqError: the model, the data or the metric cannot be used; the message says what to do.

    Example:
        >>> import onnx_evoq
        >>> score = onnx_evoq.evaluate(  # doctest: +SKIP
        ...     "model.w6.onnx", "test.npz", metric="top1", reference="model.onnx")
        >>> score.value, score.agreement  # doctest: +SKIP
        (0.968, 0.991)
    """
    check_seed(seed)
    chosen = None if metric == "auto" else find_metric(metric)
    loaded = load(model, quantized=True)
    specs = input_specs(loaded)
    samples = find_samples(specs, as_data(data), np.random.default_rng(seed), progress)
    outputs = outputs_of(loaded, name_of(model), samples, resources, progress)
    if chosen is None:
        chosen = default_metric(samples, outputs, reference is not None)
    expected, notes = None, list(samples.notes) + not_finite(outputs, name_of(model))
    if reference is not None:
        expected = outputs_of(
            load(reference, quantized=True), name_of(reference), samples, resources, progress
        )
        notes += not_finite(expected, name_of(reference))
        expected = named_alike(expected, outputs, name_of(reference))

    def value(kind: Metric) -> float:
        against = None if expected is None else [expected]
        return Target(kind, against, samples.labels).value([outputs])

    measured = value(chosen)
    if np.isnan(measured):
        raise MetricError(f"metric {chosen.name!r} returns NaN: mend the metric, or the model.")
    beside = {
        name: None if expected is None else value(find_metric(name))
        for name in ("agreement", "mse", "kl")
    }
    return Evaluation(
        source=name_of(model),
        metric=chosen.name,
        value=measured,
        samples=len(samples),
        **beside,
        notes=tuple(notes),
    )
