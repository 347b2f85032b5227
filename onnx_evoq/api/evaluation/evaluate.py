"""Score a model, float or quantized."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnx_evoq.api.evaluation.outputs import default_metric, named_alike, outputs_of
from onnx_evoq.api.job import DataSource, ModelSource
from onnx_evoq.array_types import Arrays
from onnx_evoq.data import as_data
from onnx_evoq.errors import MetricError
from onnx_evoq.metrics import (
    Criterion,
    Metric,
    MetricName,
    channel_errors,
    find_metric,
    output_layouts,
)
from onnx_evoq.model import has_tensors, load, name_of, output_hints
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import Evaluation, OutputResult, output_results
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    Resources,
    check_seed,
    find_samples,
    not_finite,
    points_of,
)


@one_blas_thread
def evaluate(
    model: ModelSource,
    data: DataSource = None,
    *,
    metric: MetricName = "auto",
    reference: ModelSource | None = None,
    score_at: Sequence[str] = (),
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Evaluation:
    """Score a model, and compare its outputs with those of a reference model.

    Args:
        model: the path of an ONNX file, or an `onnx.ModelProto`; float or quantized.
        data: the samples, as for `optimize`; None draws synthetic inputs.
        metric: what to measure: "auto" for top-1 where labels are classes of the first output,
            otherwise for the output error against `reference`; the name of a metric; or a
            function of (outputs, labels) with an attribute `higher_is_better`.
        reference: the model to compare with, usually the float model, given like `model`; None for
            no comparison.
        score_at: the tensors at which the models are compared, as for `optimize`; both have them.
        seed: seed of synthetic inputs, 0 or more.
        resources: what may be used of the machine; it does not change the result.
        progress: shows the progress; `onnx_evoq.bars` writes it to stderr.

    Returns:
        The score. With a reference, also the share of equal answers, the mean squared error and
        the Kullback-Leibler divergence of the outputs.

    Raises:
        ModelError: a model cannot be read or run.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot be computed.
        OptionError: the seed is negative, or a tensor of `score_at` is none of the model.

    Example:
        >>> import onnx_evoq
        >>> score = onnx_evoq.evaluate(  # doctest: +SKIP
        ...     "model.w6.onnx", "test.npz", metric="top1", reference="model.onnx")
        >>> score.value, score.agreement  # doctest: +SKIP
        (0.968, 0.991)
    """
    # 1. Check the options, find the tensors to compare, and read the samples.
    check_seed(seed)
    chosen = None if metric == "auto" else find_metric(metric)
    loaded, source = load(model, quantized=True), name_of(model)
    other, other_source, notes_on_points = None, "", tuple[str, ...]()
    if reference is not None:
        other, other_source = load(reference, quantized=True), name_of(reference)
        found = points_of(other, other_source, resources, score_at)
        if found.own is not None and has_tensors(loaded, found.names):
            score_at, notes_on_points = found.names, found.notes
    points = points_of(loaded, source, resources, score_at)
    rng = np.random.default_rng(seed)
    # Without data, inputs are drawn for the reference, which shows more of what it was trained on.
    asked = loaded if other is None or as_data(data).source is not None else other
    samples = find_samples(asked, source, as_data(data), rng, resources, progress)

    # 2. Run the model, and the reference.
    own = points.own if chosen is not None and chosen.against == "user" else None
    every = outputs_of(loaded, source, samples, resources, progress, own, points.custom)
    outputs = [{name: part[name] for name in points.names} for part in every]
    expected: list[Arrays] | None = None
    notes = [*samples.notes, *notes_on_points, *points.notes, *not_finite(outputs, source)]
    if other is not None:
        expected = outputs_of(other, other_source, samples, resources, progress)
        notes += not_finite(expected, other_source)
        expected = named_alike(expected, outputs, other_source)
    layouts = output_layouts(expected or outputs, output_hints(loaded))
    if chosen is None:
        chosen = default_metric(samples, outputs, expected, layouts)

    # 3. Measure.
    def measure(kind: Metric) -> float:
        criterion = Criterion(kind, expected, samples.labels, layouts)
        if kind.against == "user" and own is not None:
            real = [{name: part[name] for name in own.names} for part in every]
            criterion = replace(criterion, own=real, unlike=own.unlike)
        return criterion.value(every)

    by_output: tuple[OutputResult, ...] = ()
    if expected is not None:
        errors = channel_errors(outputs, expected, layouts)
        by_output = output_results(
            {"model": {name: tuple(each.tolist()) for name, each in errors.items()}}, layouts
        )
    value = measure(chosen)
    if np.isnan(value):
        raise MetricError(f"metric {chosen.name!r} returns NaN: mend the metric, or the model.")
    comparison = {
        name: None if expected is None else measure(find_metric(name))
        for name in ("agreement", "mse", "kl")
    }
    return Evaluation(
        source=source,
        metric=chosen.name,
        value=value,
        samples=len(samples),
        **comparison,
        notes=tuple(notes),
        outputs=by_output,
        scored_at=points.names,
    )
