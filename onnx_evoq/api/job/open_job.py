"""What the public functions share: the types of what a user gives, and an open job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_evoq.data import Data, Source, as_data
from onnx_evoq.engine import constant_outputs, unmoved_outputs
from onnx_evoq.errors import ModelError
from onnx_evoq.freed_memory import give_back
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import ParetoPoint, Policy
from onnx_evoq.model import Model
from onnx_evoq.progress import Progress
from onnx_evoq.record import NO_RUN, Run, hash_of_arrays
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup import (
    Calibration,
    FloatModel,
    Measured,
    Resources,
    ScoringSet,
    prepare_calibration,
    undo_inexact_folding,
)

_MEASURED = "measured"  # a run notes seconds for a sample, batches of both sets, and memory
_NAMES = 4  # of outputs that a note lists

ModelSource = str | Path | Model
DataSource = Data | Source | None
PolicySource = Policy | ParetoPoint | Mapping[str, Any] | str | Path


@dataclass(frozen=True)
class Job:
    """An open model, and the samples and the metric that score it.

    Attributes:
        source: the name of the model in messages and reports.
        float_model: the model and its weights.
        calibration: the search set, the held-out set, and the metric.
        unmoved: the outputs on which the weights have no effect with these samples.
        notes_on_outputs: sentences on outputs by which no candidate is better than another.
    """

    source: str
    float_model: FloatModel
    calibration: Calibration
    unmoved: tuple[str, ...] = ()
    notes_on_outputs: tuple[str, ...] = ()

    def with_float_model(self, float_model: FloatModel) -> "Job":
        """The same job for another form of the model."""
        return replace(self, float_model=float_model)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a user should read."""
        return (*self.calibration.notes, *self.float_model.notes, *self.notes_on_outputs)


def _notes_on_outputs(unmoved: Sequence[str], scoring: ScoringSet) -> tuple[str, ...]:
    """Notes on outputs that are always the same."""
    notes, remedy = [], "give real data, or score at a tensor before (--score-at)."
    if unmoved:
        notes.append(
            f"the weights have no effect on {_listed(unmoved)} with these inputs, so that errors "
            f"and scores of it say nothing: {remedy}"
        )
    constant = [name for name in constant_outputs(scoring) if name not in unmoved]
    if constant:
        notes.append(
            f"all {scoring.samples} samples give the same {_listed(constant)}, so that its scores "
            f"say little: {remedy}"
        )
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    """Names of outputs in a sentence."""
    kind = "output" if len(names) == 1 else "outputs"
    return f"{kind} {', '.join(repr(name) for name in names[:_NAMES])}" + (
        ", ..." if len(names) > _NAMES else ""
    )


def _hash_of(calibration: Calibration) -> str:
    """A hash of all samples, and of their labels."""
    sets = (calibration.search_set, calibration.heldout_set)
    labels = [each.criterion.labels for each in sets]
    feeds = (batch.feed[n] for each in sets for batch in each.batches for n in sorted(batch.feed))
    return hash_of_arrays([*feeds, *(each for each in labels if each is not None)])


def prepare_job(
    float_model: FloatModel,
    source: str,
    data: DataSource,
    metric: MetricName,
    holdout: float | None,
    rng: np.random.Generator,
    resources: Resources,
    progress: Progress,
    deadline: Deadline = NO_DEADLINE,
    run: Run = NO_RUN,
) -> Job:
    """Read the samples, run the float model on them, and undo folding where it is not exact.

    Args:
        float_model: the model and its weights.
        source: the name of the model in messages and reports.
        data: the samples; None draws synthetic inputs.
        metric: "auto", the name of a metric, or a function.
        holdout: share of the samples in the held-out set; None to use all samples in both sets.
        rng: splits the samples, and draws synthetic inputs.
        resources: what may be used of the machine.
        progress: shows the progress.
        deadline: by which the whole job must end.
        run: what keeps the job; one that goes on takes as many samples as it began with.

    Raises:
        OptionError: the job goes on with other samples.
        EvoqError: the data or the metric cannot be used, or the model fails on the data.
    """
    recalled = run.recall(_MEASURED)
    measured = None
    if recalled is not None:
        seconds, batches, memory = recalled
        measured = Measured(seconds, tuple(batches), memory)
    while True:
        points = float_model.points
        try:
            calibration = prepare_calibration(
                float_model.reference, source, as_data(data), metric, holdout, rng, resources,
                progress, deadline, points.own, points.custom, measured,
            )  # fmt: skip
            break
        except ModelError as error:
            if error.varying is None or float_model.scored_before is None:
                raise
            float_model = float_model.scored_before(error.varying)  # a custom operator chose rows
    give_back()  # what the session of the float model held
    if run.folder is not None:
        run.same("data", {"sha256": _hash_of(calibration)})
        batches = [len(e.batches) for e in (calibration.search_set, calibration.heldout_set)]
        run.same(_MEASURED, [calibration.seconds, batches, calibration.memory])
    float_model = undo_inexact_folding(float_model, calibration, resources)
    scoring = calibration.search_set
    unmoved = unmoved_outputs(float_model.model, float_model.weights, scoring, resources)
    give_back()  # the changed weights, and what their session held
    notes = _notes_on_outputs(unmoved, scoring)
    return Job(source, float_model, calibration, unmoved, notes)
