"""Calibration: split the samples into two sets, and run the float model on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch, check_shapes, make_batches
from onnx_evoq.data import Data, Samples, load_samples, split
from onnx_evoq.errors import DataError, MetricError, ModelError
from onnx_evoq.metrics import (
    Metric,
    MetricName,
    Target,
    check_labels,
    class_numbers,
    class_scores,
    find_metric,
    largest_difference,
)
from onnx_evoq.model import Model, input_specs
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.score import COMPARED_AT, Session, choose_batch_size, predict
from onnx_evoq.setup.model_run import open_session
from onnx_evoq.setup.outputs import not_finite
from onnx_evoq.setup.resources import DEFAULT_RESOURCES, Resources
from onnx_evoq.setup.scoring_set import ScoringSet
from onnx_evoq.signature import TensorSpec

_REPEATABLE = 1e-4  # difference between two runs, as a share of the largest output
_FEW_HELDOUT = 8  # samples
_HARDLY_BETTER = 1.2  # times the top-1 of guessing


@dataclass(frozen=True)
class Calibration:
    """The samples that models are scored on, in two sets, and the metric.

    Attributes:
        metric: compares a model's outputs with those of the float model, or with labels.
        search_set: the samples on which candidates are compared.
        heldout_set: the samples on which a candidate must be better, too, before it is accepted.
        has_classes: whether the labels are classes of the first output, so that top-1 can be
            reported beside the metric.
        notes: sentences that a user should read.
    """

    metric: Metric
    search_set: ScoringSet
    heldout_set: ScoringSet
    has_classes: bool
    notes: tuple[str, ...]


def find_samples(
    specs: Sequence[TensorSpec],
    data: Data,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> Samples:
    """Load the samples for a model.

    Args:
        specs: the model's inputs.
        data: the source of the samples, and their preprocessing.
        rng: draws synthetic samples.
        progress: shows how many samples are loaded.

    Raises:
        ModelError: the model takes no inputs.
        DataError: the data cannot be read or do not fit the inputs.
    """
    if not specs:
        raise ModelError("the model takes no inputs, so that there is nothing to score it on.")
    return load_samples(data, specs, rng, progress)


def _reference_outputs(
    session: Session, batches: Sequence[Batch], progress: Progress = silent
) -> list[Arrays]:
    """Run the float model: the outputs of each batch by name, (count, ...) each.

    Raises:
        ModelError: an output is NaN or infinite, or changes its shape from sample to sample.
    """
    with progress("reference", len(batches)) as step:
        outputs: list[Arrays] = list(stepping(predict(session, batches), step))
    check_shapes(outputs)
    notes = [note for part in outputs for note in not_finite(part, session.name)]
    if notes:
        raise ModelError(notes[0])
    return outputs


def prepare_calibration(
    model: Model,
    name: str,
    data: Data,
    metric: MetricName,
    holdout: float | None,
    rng: np.random.Generator,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Calibration:
    """Load the samples, split them into two sets, and run the float model on both.

    Args:
        model: the float model, as it was loaded.
        name: the model's name in messages.
        data: the samples' source and preprocessing.
        metric: "auto" for the output error: mse for one output, sqnr for several (they count
            alike), agreement where no output holds floats.
        holdout: share of the samples in the held-out set; None to use all samples in both sets.
        rng: splits the samples, and draws synthetic ones.
        resources: what the runs may use.
        progress: shows how far the work is.

    Raises:
        ModelError: the model takes no inputs, fails, gives NaN, or gives other outputs when it is
            run again.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot score the float model.
    """
    specs = input_specs(model)
    chosen = None if metric == "auto" else find_metric(metric)  # before the work, as it may fail
    samples = find_samples(specs, data, rng, progress)
    session = open_session(model, resources, name)
    size = choose_batch_size(session, samples.inputs, specs)
    parts = (samples,) if holdout is None else split(samples, holdout, rng)
    batches = [make_batches(part.inputs, specs, size, COMPARED_AT) for part in parts]
    outputs = [_reference_outputs(session, each, progress) for each in batches]
    _check_repeatable(session, batches[0][0], outputs[0][0])
    if chosen is None:
        chosen = find_metric(_output_error(outputs[0][0]))
    sets = [
        ScoringSet(each, Target(chosen, reference, part.labels))
        for part, each, reference in zip(parts, batches, outputs, strict=True)
    ]
    search, heldout = sets[0], sets[-1]
    has_classes, notes = _labels_are_classes(chosen, samples, search)
    _check_metric(chosen, search)
    if has_classes:
        notes += _notes_on_accuracy(search)
    if heldout.samples < _FEW_HELDOUT:
        notes.append(
            f"only {search.samples} samples select and {heldout.samples} accept, which is too few "
            "to trust a result: give a few hundred."
        )
    return Calibration(chosen, search, heldout, has_classes, (*samples.notes, *notes))


def _output_error(outputs: Arrays) -> str:
    """The name of the metric that measures the error of these outputs."""
    kinds = [values.dtype.kind for values in outputs.values()]
    if "f" not in kinds:
        return "agreement"
    return "mse" if len(kinds) == 1 else "sqnr"


def _check_repeatable(session: Session, batch: Batch, outputs: Arrays) -> None:
    """Run a batch again, and refuse a model that draws random numbers."""
    again = next(predict(session, [batch]))
    if not largest_difference(again, outputs) <= _REPEATABLE:
        raise ModelError(
            f"{session.name}: gives other outputs each time it is run: export it without random "
            "nodes (in inference mode)."
        )


def _notes_on_accuracy(scoring: ScoringSet) -> list[str]:
    """A note if the float model's top-1 is hardly better than that of guessing."""
    assert scoring.target.reference is not None
    chance = 1 / max(class_scores(scoring.target.reference[0]).shape[1], 2)
    top1 = scoring.scored_by(find_metric("top1")).target.value(scoring.target.reference)
    if top1 > _HARDLY_BETTER * chance:
        return []
    return [
        f"the float model's top-1 is {100 * top1:.1f} % on these data, which is hardly better than "
        "chance: are the preprocessing (divide, mean, std) and the labels right?"
    ]


def _check_metric(metric: Metric, scoring: ScoringSet) -> None:
    """Refuse a metric that gives no number for the float model itself."""
    assert scoring.target.reference is not None
    if np.isnan(scoring.target.value(scoring.target.reference)):
        raise MetricError(
            f"metric {metric.name!r} returns NaN for the float model's outputs: mend the metric."
        )


def _labels_are_classes(
    metric: Metric, samples: Samples, scoring: ScoringSet
) -> tuple[bool, list[str]]:
    """Whether the labels are classes of the first output, and notes for the user.

    Raises:
        DataError: the labels are whole numbers, but out of range, and no user's metric reads them.
    """
    assert scoring.target.reference is not None
    if samples.labels is None:
        return False, []
    try:
        classes = class_scores(scoring.target.reference[0]).shape[1]
    except MetricError:
        return False, []  # the output is no row of class scores
    if class_numbers(samples.labels) is None and metric.against != "labels":
        return False, [f"{samples.source}: the labels are no class numbers, so top-1 is left out."]
    try:
        check_labels(samples.labels, classes)
    except DataError:
        if metric.against != "user":
            raise
        return False, []
    return True, []
