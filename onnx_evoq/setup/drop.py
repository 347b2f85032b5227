"""How much of a model's quality may be lost: the guard behind a drop that the user sets."""

from collections.abc import Callable

import numpy as np

from onnx_evoq.errors import MetricError
from onnx_evoq.metrics import class_scores, find_metric
from onnx_evoq.model import Model
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.resources import DEFAULT_RESOURCES, Resources
from onnx_evoq.setup.scoring_set import ScoringSet, model_value

MaxDropCheck = Callable[[Model], bool]
Drop = Callable[[Model], float]


def max_drop_check(
    model: Model,
    calibration: Calibration,
    max_drop: float,
    resources: Resources = DEFAULT_RESOURCES,
) -> MaxDropCheck:
    """Whether a model stays within `max_drop` percent of the float model on the held-out set.

    Args:
        model: the float model.
        experiment: what scores.
        max_drop: percent, as `drop_measure` counts them.
        resources: what may be used.
    """
    drop = drop_measure(model, calibration, resources)
    return lambda changed: within(drop(changed), max_drop)


def within(drop: float, max_drop: float) -> bool:
    """Whether a drop is allowed, both in percent; exactly the limit, computed in binary, is."""
    return drop <= max_drop + 1e-9


def drop_measure(
    model: Model, calibration: Calibration, resources: Resources = DEFAULT_RESOURCES
) -> Drop:
    """How much of the float model's quality another one loses on the held-out set, in percent:

    1. with class labels, the points of top-1 that are lost;
    2. with a user's metric, the percent of its value for the float model that is lost;
    3. else, of a model whose first output is a row of class scores, the percent of answers that
       are no longer the float model's; an output shaped like an input is no such row;
    4. else the percent of the outputs' power that is error (nmse).

    Args:
        model: the float model.
        experiment: what scores.
        resources: what may be used.
    """
    scoring = _what_counts(calibration)
    before = model_value(model, scoring, resources)
    relative = scoring.target.metric.against == "user"
    sign = 1.0 if scoring.target.metric.higher_is_better else -1.0
    whole = abs(before) if relative else 1.0

    def drop(changed: Model) -> float:
        after = model_value(changed, scoring, resources)
        return 100 * sign * (before - after) / max(whole, float(np.finfo(np.float64).tiny))

    return drop


def _what_counts(calibration: Calibration) -> ScoringSet:
    if calibration.metric.against == "user":
        return calibration.heldout
    if calibration.has_classes:
        return calibration.heldout.scored_by(find_metric("top1"))
    kind = "agreement" if _classifies(calibration.heldout) else "nmse"
    return calibration.heldout.scored_by(find_metric(kind))


def _classifies(scoring: ScoringSet) -> bool:
    """Whether the outputs are classes, or scores of classes."""
    assert scoring.target.reference is not None
    outputs = scoring.target.reference[0]
    if not any(values.dtype.kind == "f" for values in outputs.values()):
        return True
    try:
        scores = class_scores(outputs)
    except MetricError:
        return False
    # A reconstruction has a row of numbers, too.
    sizes = {values[0].size for values in scoring.batches[0].feed.values() if values.ndim}
    return scores.shape[1] not in sizes
