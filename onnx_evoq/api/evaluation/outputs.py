"""The outputs of a whole model, and how the outputs of two models are paired."""

import contextlib
from collections.abc import Collection, Sequence

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import batches_of
from onnx_evoq.data import Samples
from onnx_evoq.errors import MetricError, ModelError
from onnx_evoq.metrics import (
    Layouts,
    Metric,
    class_numbers,
    class_scores,
    find_metric,
    output_error,
)
from onnx_evoq.model import Model, input_specs
from onnx_evoq.outputs_by_sample import check_shapes, in_order_of_samples
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.score import choose_batch_size, predict
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    OwnOutputs,
    Resources,
    open_session,
    own_options,
    workers_of,
)


def default_metric(
    samples: Samples,
    outputs: Sequence[Arrays],
    expected: Sequence[Arrays] | None,
    layouts: Layouts,
) -> Metric:
    """Top-1 if the labels are classes of the first output, else the error against a reference.

    Args:
        samples: the samples, perhaps with labels.
        outputs: the model's outputs for them, part by part.
        expected: those of the reference model; None without one.
        layouts: of the outputs.

    Raises:
        MetricError: there are no such labels, and no reference model.
    """
    if samples.labels is not None and class_numbers(samples.labels) is not None:
        with contextlib.suppress(MetricError):  # the output is no row of class scores
            if len({class_scores(part).shape[1] for part in outputs}) == 1:
                return find_metric("top1")
    if expected is None:
        raise MetricError(
            "there is nothing to score against: give data with labels that are classes (y, class "
            "folders, or --labels), a reference model, or a metric of your own."
        )
    return output_error(expected[0], layouts, samples.groups[0].inputs)


def outputs_of(
    model: Model,
    name: str,
    samples: Samples,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    own: OwnOutputs | None = None,
    custom: Collection[str] = (),
) -> list[Arrays]:
    """Run a model on all samples.

    Args:
        model: any model.
        name: the model's name in messages.
        samples: the inputs.
        resources: the execution providers.
        progress: shows how many batches are done.
        own: the outputs to give beside the tensors at which the model is scored; None for these
            tensors alone.
        custom: the outputs of which only runs show whether their rows vary.

    Returns:
        The outputs by name, (samples, ...) each, in the order of the samples: in one part, or in
        one for each sample if their shapes differ.

    Raises:
        ModelError: the model cannot be run, takes an input that the samples do not have, or gives
            outputs whose shapes do not follow from those of the inputs.
    """
    specs = input_specs(model)
    known = samples.groups[0].inputs
    missing = next((spec.name for spec in specs if spec.name not in known), None)
    if missing is not None:
        raise ModelError(f"{name}: takes an input {missing!r} that the other model does not.")
    seen, unlike = (model, frozenset[str]()) if own is None else (own.beside(model), own.unlike)
    session = open_session(seen, resources, name, own_options(model), unlike)
    size_of = choose_batch_size(session, samples.groups, specs)
    batches = batches_of(samples.groups, specs, size_of)
    with progress("running", len(batches)) as step:
        parts = list(stepping(predict(session, batches, workers_of(resources)), step))
    check_shapes(parts, batches, custom)
    return in_order_of_samples(parts, batches)


def named_alike(reference: Sequence[Arrays], outputs: Sequence[Arrays], name: str) -> list[Arrays]:
    """Pair a reference model's outputs with a model's: by name, or else by position.

    Args:
        reference: the reference model's outputs, part by part.
        outputs: the model's outputs, in the same parts.
        name: the reference model's name in messages.

    Returns:
        The reference model's outputs under the names of `outputs`.

    Raises:
        ModelError: the numbers of outputs or their shapes differ.
    """
    return [_paired(*both, name) for both in zip(reference, outputs, strict=True)]


def _paired(reference: Arrays, outputs: Arrays, name: str) -> Arrays:
    if set(outputs) <= set(reference):
        matched = {output: reference[output] for output in outputs}
    elif len(outputs) == len(reference):
        matched = dict(zip(outputs, reference.values(), strict=True))
    else:
        matched = {}
    if any(matched[n].shape != outputs[n].shape for n in matched) or not matched:
        ours = ", ".join(f"{n} {v.shape[1:]}" for n, v in outputs.items())
        theirs = ", ".join(f"{n} {v.shape[1:]}" for n, v in reference.items())
        raise ModelError(f"{name}: its outputs ({theirs}) do not match the model's ({ours}).")
    return matched
