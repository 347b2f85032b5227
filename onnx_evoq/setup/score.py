"""The scores that are reported: a whole model in a new session, on both sets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx_evoq.array_types import Arrays
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import channel_errors, find_metric
from onnx_evoq.model import Runnable
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.score import SESSION_OPTIONS, predict
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.scoring import as_scored
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources, open_session, workers_of


@dataclass(frozen=True)
class Score:
    """The metric on both sets, and top-1 if the labels are classes.

    Attributes:
        search: the metric on the search set, or on some of it.
        heldout: the metric on the held-out set.
        top1: {"search": .., "heldout": ..} as shares of 1; None without such labels.
        outputs: the relative error of each channel of each output of floats on the held-out set
            (`channel_errors`).
    """

    search: float
    heldout: float
    top1: dict[str, float] | None = None
    outputs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON, without outputs; `top1` only if there is one."""
        scores = {"search": self.search, "heldout": self.heldout}
        return scores if self.top1 is None else {**scores, "top1": self.top1}


def score_of(
    model: Runnable,
    calibration: Calibration,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    options: Mapping[str, str] = SESSION_OPTIONS,
) -> Score:
    """Score a model on both sets, in a new session.

    Args:
        model: any form of the float model.
        calibration: the samples and the metric.
        resources: the execution providers.
        progress: shows how many batches are done.
        options: session configuration entries.
    """
    sets = (calibration.search_set, calibration.heldout_set)
    criterion, workers = sets[0].criterion, workers_of(resources)
    seen = as_scored(model, criterion)
    session = open_session(seen, resources, options=options, unlike=criterion.unlike)
    with progress("scoring", sum(len(scoring.batches) for scoring in sets)) as step:
        try:
            outputs = [
                list(stepping(predict(session, scoring.batches, workers), step)) for scoring in sets
            ]
        except ModelError:
            if criterion.wanted is None:
                raise
            return Score(math.nan, math.nan)  # what is not scored may fail on what was found
    return _score(calibration, outputs)


def score_of_float_model(calibration: Calibration) -> Score:
    """Score the float model on both sets by the outputs that calibration has of it."""
    sets = (calibration.search_set, calibration.heldout_set)
    return _score(calibration, [scoring.criterion.of_float_model for scoring in sets])


def _score(calibration: Calibration, outputs: Sequence[Sequence[Arrays]]) -> Score:
    """The score for the outputs of each batch, of the search set and of the held-out set."""
    sets = (calibration.search_set, calibration.heldout_set)
    values = [s.criterion.value(each) for s, each in zip(sets, outputs, strict=True)]
    heldout = sets[1].criterion
    found = channel_errors(outputs[1], heldout.reference or (), heldout.of_reference or {})
    by_output = {name: tuple(errors.tolist()) for name, errors in found.items()}
    if not calibration.has_classes:
        return Score(values[0], values[1], outputs=by_output)
    classes = [s.scored_by(find_metric("top1")) for s in sets]
    shares = [s.criterion.value(each) for s, each in zip(classes, outputs, strict=True)]
    top1 = dict(zip(("search", "heldout"), shares, strict=True))
    return Score(values[0], values[1], top1, by_output)
