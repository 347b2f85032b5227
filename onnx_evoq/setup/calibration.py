"""Calibration: split the samples into two sets, and run the float model on them."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch, batches_of, fixed_batch_size, places_of
from onnx_evoq.data import Data, Samples, split
from onnx_evoq.errors import ModelError
from onnx_evoq.executors import free_memory
from onnx_evoq.metrics import (
    Criterion,
    Metric,
    MetricName,
    find_metric,
    largest_difference,
    output_error,
    output_layouts,
)
from onnx_evoq.model import Model, input_specs, output_hints, weight_count
from onnx_evoq.outputs_by_sample import check_shapes
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.score import COMPARED_AT, Session, choose_batch_size, predict
from onnx_evoq.setup.scoring import (
    DrawnOtherwise,
    Measured,
    OwnOutputs,
    ScoringSet,
    check_metric,
    labels_are_classes,
    notes_on_accuracy,
)
from onnx_evoq.setup.sessions import (
    DEFAULT_RESOURCES,
    Resources,
    cache_memory,
    not_finite,
    open_session,
    own_options,
    workers_of,
)
from onnx_evoq.setup.synthetic import find_samples
from onnx_evoq.signature import OutputHint

_REPEATABLE = 1e-4  # difference between two runs, as a share of the largest output
_RUN_SHARE = 6  # running the float model may take one part in so many of the time
_HELDOUT_SHARE = 0.25  # of the time for running the float model
_FEW_SAMPLES = 4  # of a quick check
_FEW_HELDOUT = 8  # samples
_MEMORY_PARTS = 4  # outputs may take one part in so many of the memory that is free


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
        seconds: that the float model took for one sample; 0 if that was not measured.
        few: the first samples of the search set in a batch of their own, for quick checks.
        otherwise: samples that are drawn in other ways, where the range of inputs is a mere guess;
            None where it is not.
        memory: bytes of activations that could be kept when the job began.
    """

    metric: Metric
    search_set: ScoringSet
    heldout_set: ScoringSet
    has_classes: bool
    notes: tuple[str, ...]
    seconds: float = 0.0
    few: Batch | None = None
    otherwise: DrawnOtherwise | None = None
    memory: int = 0

    def first(self, share: float) -> "Calibration":
        """The same with a share of the samples of each set, the first ones.

        Args:
            share: above 0, up to 1.
        """
        if share >= 1:
            return self
        search, heldout = (
            scoring.first(max(1, int(share * scoring.samples)))
            for scoring in (self.search_set, self.heldout_set)
        )
        return replace(self, search_set=search, heldout_set=heldout)


def _reference_outputs(
    session: Session,
    batches: Sequence[Batch],
    workers: int,
    deadline: Deadline,
    progress: Progress = silent,
    custom: Collection[str] = (),
) -> list[Arrays]:
    """Run the float model: the outputs of each batch by name, (count, ...) each.

    When the deadline has passed, or the outputs take a share of the memory that is free, those of
    the batches that were run by then are returned.

    Raises:
        ModelError: an output is NaN or infinite, or one of `custom` changes its shape from sample
            to sample.
    """
    outputs: list[Arrays] = []
    left = free_memory() // _MEMORY_PARTS
    with progress("reference", len(batches)) as step:
        for part in stepping(predict(session, batches, workers), step):
            outputs.append(part)
            left -= sum(values.nbytes for values in part.values())
            if deadline.passed or left < 0:
                break
    check_shapes(outputs, batches, custom)
    notes = not_finite(outputs, session.name)
    if notes:
        raise ModelError(notes[0])
    return outputs


def _run_both(
    session: Session,
    parts: Sequence[Samples],
    batches: Sequence[Sequence[Batch]],
    metric: Metric | None,
    hints: Mapping[str, OutputHint],
    resources: Resources,
    deadline: Deadline,
    progress: Progress,
    own: OwnOutputs | None,
    custom: Collection[str],
    measured: Measured | None,
) -> tuple[list[ScoringSet], float]:
    """The scoring sets of the samples that the float model can be run on in the time.

    With `measured`, it is run on as many batches as that says, however long it takes.

    Returns:
        The sets, and the seconds that a sample took.
    """
    workers, began = workers_of(resources), time.monotonic()
    ran: list[tuple[Sequence[Batch], list[Arrays], Array | None]] = []
    share = 1.0  # of the samples of a set
    for index, (part, each) in enumerate(zip(parts, batches, strict=True)):
        wanted = each[: max(1, math.ceil(share * len(each)))]
        if measured is not None:
            wanted, deadline = each[: measured.batches[index]], NO_DEADLINE
        rest = _HELDOUT_SHARE * deadline.left if index + 1 < len(parts) else 0.0
        until = deadline.earlier(rest)
        outputs = _reference_outputs(session, wanted, workers, until, progress, custom)
        share = len(outputs) / len(each)
        places = places_of(each[: len(outputs)])
        labels = None if part.labels is None else part.labels[places]
        ran.append((each[: len(outputs)], outputs, labels))
    seconds = time.monotonic() - began
    layouts = output_layouts([each for _, outputs, _ in ran for each in outputs], hints)
    metric = metric or output_error(ran[0][1][0], layouts, ran[0][0][0].feed)
    sets = []
    for done, outputs, labels in ran:
        criterion = Criterion(metric, outputs, labels, layouts)
        sets.append(ScoringSet(done, criterion if own is None else own.apart_in(criterion)))
    if measured is not None:
        return sets, measured.seconds
    return sets, seconds / sum(scoring.samples for scoring in sets)


def prepare_calibration(
    model: Model,
    name: str,
    data: Data,
    metric: MetricName,
    holdout: float | None,
    rng: np.random.Generator,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    deadline: Deadline = NO_DEADLINE,
    own: OwnOutputs | None = None,
    custom: Collection[str] = (),
    measured: Measured | None = None,
) -> Calibration:
    """Load the samples, split them into two sets, and run the float model on both.

    Args:
        model: the float model, as it was loaded.
        name: the model's name in messages.
        data: the samples' source and preprocessing.
        metric: "auto" for the output error (`output_error`).
        holdout: share of the samples in the held-out set; None to use all samples in both sets.
        rng: splits the samples, and draws synthetic ones.
        resources: what the runs may use.
        progress: shows how far the work is.
        deadline: by which the whole job must end. The float model is run on as many samples as a
            share of that time allows.
        own: the outputs that a user's metric takes, if the model is scored at other tensors.
        custom: the outputs of which only runs show whether their rows vary.
        measured: what was measured when the job began; None if it begins now.

    Raises:
        ModelError: the model takes no inputs, fails, gives NaN, or gives other outputs when it is
            run again; or the rows of one of `custom` vary.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot score the float model.
    """
    chosen = None if metric == "auto" else find_metric(metric)  # before the work, as it may fail
    samples = find_samples(model, name, data, rng, resources, progress, deadline)
    own = own if chosen is not None and chosen.against == "user" else None
    seen, unlike = (model, frozenset[str]()) if own is None else (own.beside(model), own.unlike)
    session = open_session(seen, resources, name, own_options(model), unlike)
    specs = input_specs(model)
    size_of = choose_batch_size(session, samples.groups, specs, weight_count(model))
    parts = (samples,) if holdout is None else split(samples, holdout, rng)

    def batches_in(part: Samples) -> list[Batch]:
        return batches_of(part.groups, specs, size_of, COMPARED_AT)

    batches = [batches_in(part) for part in parts]
    until = deadline.share(_RUN_SHARE)
    hints = output_hints(model)
    sets, seconds = _run_both(
        session, parts, batches, chosen, hints, resources, until, progress, own, custom,
        measured,
    )  # fmt: skip
    chosen = sets[0].criterion.metric
    assert sets[0].criterion.reference is not None
    few = batches[0][0]
    if fixed_batch_size(samples.groups[0].inputs, specs) is None:
        few = few.first(_FEW_SAMPLES)
    _check_repeatable(session, few, sets[0].criterion.reference[0])
    search, heldout = sets[0], sets[-1]
    has_classes, notes = labels_are_classes(chosen, samples, search)
    check_metric(chosen, search)
    if has_classes:
        notes += notes_on_accuracy(search)
    if heldout.samples < _FEW_HELDOUT:
        notes.append(
            f"only {search.samples} samples select and {heldout.samples} accept, which is too few "
            "to trust a result: give a few hundred."
        )
    given = sum(batch.count for each in batches for batch in each)
    used = sum(scoring.samples for scoring in sets)
    if used < given:
        why = "time budget" if until.passed or measured else "memory"
        notes.append(f"{used} of {given} samples are used, since the {why} allows no more.")
    every = (*samples.notes, *notes)
    otherwise = None
    if samples.otherwise:
        otherwise = DrawnOtherwise(
            samples.otherwise, batches_in,
            lambda: open_session(seen, resources, name, own_options(model), unlike),
            search.criterion.of_reference or {}, resources, search.samples,
        )  # fmt: skip
    memory = cache_memory(resources) if measured is None else measured.memory
    return Calibration(chosen, search, heldout, has_classes, every, seconds, few, otherwise, memory)


def _check_repeatable(session: Session, batch: Batch, outputs: Arrays) -> None:
    """Run a batch again, and refuse a model that draws random numbers."""
    again = next(predict(session, [batch]))
    outputs = {name: values[: batch.count] for name, values in outputs.items()}
    if not largest_difference(again, outputs) <= _REPEATABLE:
        raise ModelError(
            f"{session.name}: gives other outputs each time it is run: export it without random "
            "nodes (in inference mode)."
        )
