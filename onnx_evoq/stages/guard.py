"""How much of a model's quality may be lost: the guard behind a drop that the user sets."""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.model import Model, Quantized, with_codes
from onnx_evoq.score import find_metric
from onnx_evoq.stages.experiment import Experiment
from onnx_evoq.stages.layerwise import Guard
from onnx_evoq.stages.scoring import ScoringSet, model_value


def drop_guard(
    model: Model,
    experiment: Experiment,
    max_drop: float,
    providers: Sequence[str] | None = None,
) -> Guard:
    """Whether a network stays within `max_drop` percent of the float model on the held-out set.

    The drop is

    1. with class labels, the points of top-1 that are lost;
    2. with a user's metric, the percent of its value for the float model that is lost;
    3. else the percent of answers that are no longer the float model's.

    Args:
        model: the float model.
        experiment: what scores.
        max_drop: percent.
        providers: as for `Session`.
    """
    scoring = _what_counts(experiment)
    before = model_value(model, scoring, providers)
    relative = scoring.target.metric.against == "user"
    sign = 1.0 if scoring.target.metric.higher_is_better else -1.0
    whole = abs(before) if relative else 1.0

    def holds(quantized: Quantized) -> bool:
        after = model_value(with_codes(model, quantized), scoring, providers)
        drop = 100 * sign * (before - after) / max(whole, float(np.finfo(np.float64).tiny))
        return drop <= max_drop + 1e-9  # exactly the limit, computed in binary, is allowed

    return holds


def _what_counts(experiment: Experiment) -> ScoringSet:
    if experiment.metric.against == "user":
        return experiment.heldout
    kind = "top1" if experiment.has_classes else "agreement"
    return experiment.heldout.scored_by(find_metric(kind))
