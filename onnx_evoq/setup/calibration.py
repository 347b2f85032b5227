"""Set up what a search is scored on: samples, the reference model's answers, a metric, two sets."""

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

_SAME = 1e-4  # relative to the largest output
_FEW = 8  # held-out samples


@dataclass(frozen=True)
class Calibration:
    """Everything that scores, for one reference model and one set of samples.

    Attributes:
        metric: what steers.
        search: the samples that select.
        heldout: the samples that accept.
        has_classes: whether the labels are classes of the first output, so that top-1 can stand
            beside.
        notes: sentences that a user should read.
    """

    metric: Metric
    search: ScoringSet
    heldout: ScoringSet
    has_classes: bool
    notes: tuple[str, ...]


def find_samples(
    specs: Sequence[TensorSpec],
    data: Data,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> Samples:
    """The samples for a model with inputs `specs`.

    Raises:
        ModelError: the model takes no inputs.
        DataError: the data cannot be read or do not fit.
    """
    if not specs:
        raise ModelError("the model takes no inputs, so that there is nothing to score it on.")
    return load_samples(data, specs, rng, progress)


def reference_outputs(
    session: Session, batches: Sequence[Batch], progress: Progress = silent
) -> list[Arrays]:
    """The reference model's outputs for each batch.

    Raises:
        ModelError: one is NaN or infinite, or changes its shape from sample to sample.
    """
    with progress("reference", len(batches)) as step:
        outputs: list[Arrays] = list(stepping(predict(session, batches), step))
    check_shapes(outputs)
    for part in outputs:
        for note in not_finite(part, session.name):
            raise ModelError(note)
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
    """Read the samples, split them, and run the reference model on both parts.

    Args:
        model: the reference model.
        name: how messages call it.
        data: the samples.
        metric: "auto" for the output error: mse; sqnr where several outputs must count alike;
            agreement where no output is of floats.
        holdout: share of the samples that accepts; None to score on all of them in both parts.
        rng: splits the samples, and draws synthetic ones.
        resources: what may be used.
        progress: shows how far it is.
    """
    specs = input_specs(model)
    chosen = None if metric == "auto" else find_metric(metric)
    samples = find_samples(specs, data, rng, progress)
    session = open_session(model, resources, name)
    size = choose_batch_size(session, samples.inputs, specs)
    parts = (samples,) if holdout is None else split(samples, holdout, rng)
    batches = [make_batches(part.inputs, specs, size, COMPARED_AT) for part in parts]
    outputs = [reference_outputs(session, each, progress) for each in batches]
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
        notes += _doubts(search)
    if heldout.samples < _FEW:
        notes.append(
            f"only {search.samples} samples select and {heldout.samples} accept, which is too few "
            "to trust a result: give a few hundred."
        )
    return Calibration(chosen, search, heldout, has_classes, (*samples.notes, *notes))


def _output_error(outputs: Arrays) -> str:
    kinds = [values.dtype.kind for values in outputs.values()]
    if "f" not in kinds:
        return "agreement"
    return "mse" if len(kinds) == 1 else "sqnr"


def _check_repeatable(session: Session, batch: Batch, outputs: Arrays) -> None:
    again = next(predict(session, [batch]))
    if not largest_difference(again, outputs) <= _SAME:
        raise ModelError(
            f"{session.name}: gives other outputs each time it is run: export it without random "
            "nodes (in inference mode)."
        )


def _doubts(scoring: ScoringSet) -> list[str]:
    """A note if the float model does hardly better than chance."""
    assert scoring.target.reference is not None
    chance = 1 / max(class_scores(scoring.target.reference[0]).shape[1], 2)
    top1 = scoring.scored_by(find_metric("top1")).target.value(scoring.target.reference)
    if top1 > 1.2 * chance:
        return []
    return [
        f"the float model's top-1 is {100 * top1:.1f} % on these data, which is hardly better than "
        "chance: are the preprocessing (divide, mean, std) and the labels right?"
    ]


def _check_metric(metric: Metric, scoring: ScoringSet) -> None:
    """The metric must give a number for the reference model itself."""
    assert scoring.target.reference is not None
    if np.isnan(scoring.target.value(scoring.target.reference)):
        raise MetricError(
            f"metric {metric.name!r} returns NaN for the float model's outputs: mend the metric."
        )


def _labels_are_classes(
    steering: Metric, samples: Samples, scoring: ScoringSet
) -> tuple[bool, list[str]]:
    """Whether the labels are classes of the first output, and notes.

    Raises:
        DataError: they are whole numbers, but out of range; unless a user's metric reads them.
    """
    assert scoring.target.reference is not None
    if samples.labels is None:
        return False, []
    try:
        classes = class_scores(scoring.target.reference[0]).shape[1]
    except MetricError:
        return False, []  # the output is no row of class scores
    if class_numbers(samples.labels) is None and steering.against != "labels":
        return False, [f"{samples.source}: the labels are no class numbers, so top-1 is left out."]
    try:
        check_labels(samples.labels, classes)
    except DataError:
        if steering.against != "user":
            raise
        return False, []
    return True, []
