"""Max drop: how much of the float model's quality a quantized model may lose, in percent."""

from collections.abc import Callable

import numpy as np

from onnx_evoq.errors import BudgetError, MetricError
from onnx_evoq.metrics import class_scores, find_metric
from onnx_evoq.model import Model, Runnable
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.scoring import ScoringSet, model_value
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources

MaxDropCheck = Callable[[Runnable], bool]  # whether a model loses no more than the user allows
Drop = Callable[[Runnable], float]  # what a model loses, in percent


def max_drop_check(drop: Drop, max_drop: float) -> MaxDropCheck:
    """Make the check whether a model's drop on the held-out set is at most `max_drop` percent.

    Args:
        drop: measures a model's drop.
        max_drop: in percent.

    Returns:
        A function that runs a model, and says whether its drop is allowed.
    """
    return lambda changed: within(drop(changed), max_drop)


def within(drop: float, max_drop: float) -> bool:
    """Whether a drop is allowed; both are in percent.

    A drop of exactly the limit is allowed, although binary fractions may put it a little above.

    Example:
        >>> 100 * (0.8 - 0.7) > 10, within(100 * (0.8 - 0.7), 10)
        (True, True)
    """
    return drop <= max_drop + 1e-9


def check_drop(
    drop: float,
    max_drop: float,
    source: str,
    activations: bool,
    *,
    interrupted: bool = False,
    guessed: bool = False,
) -> None:
    """Refuse a model that drops by more than is allowed.

    Args:
        drop: what the model loses, in percent.
        max_drop: what it may lose, in percent.
        source: its name in messages.
        activations: whether its activations are integers.
        interrupted: whether better ones were not tried, since the user pressed Ctrl-C.
        guessed: whether the inputs are a mere guess.

    Raises:
        BudgetError: it drops by more.
    """
    if within(drop, max_drop):
        return
    if interrupted:
        raise BudgetError(
            f"{source}: interrupted before a model was found that drops by no more than "
            f"{max_drop:g} percent (so far {drop:.3g}): allow it more time."
        )
    more = "give its activations more bits, or " if activations else ""
    if guessed:
        more = "its inputs are a guess: give data (--data), or " + more
    raise BudgetError(
        f"{source}: even at 8 bits the model drops by {drop:.3g} percent, more than the allowed "
        f"{max_drop:g}: {more}allow that much."
    )


def drop_measure(
    model: Model, calibration: Calibration, resources: Resources = DEFAULT_RESOURCES
) -> Drop:
    """Make the function that measures a model's drop on the held-out set.

    The drop is, in percent, the first of these that applies:

    1. with a user's metric, the share of its value for the float model that is lost;
    2. with labels that are classes, the points of top-1 that are lost;
    3. for a classifier without labels, the share of samples whose class is no longer the float
       model's (a first output that is as wide as an input is taken for a reconstruction);
    4. for any other model, the power of the output error as a share of the outputs' power (nmse, or
       channel_nmse where the metric tells channels apart).

    Args:
        model: the float model.
        calibration: the samples and the metric.
        resources: what the runs may use.

    Returns:
        A function that runs a model, and gives its drop in percent; below 0 for a better model.
    """
    scoring = _scored_for_drop(calibration)
    before = model_value(model, scoring, resources)
    metric = scoring.criterion.metric
    relative_to = abs(before) if metric.against == "user" else 1.0

    def drop(changed: Runnable) -> float:
        after = model_value(changed, scoring, resources)
        lost = before - after if metric.higher_is_better else after - before
        return 100 * lost / max(relative_to, float(np.finfo(np.float64).tiny))

    return drop


def _scored_for_drop(calibration: Calibration) -> ScoringSet:
    """The held-out set with the metric that the drop is measured by."""
    if calibration.metric.against == "user":
        return calibration.heldout_set
    if calibration.has_classes:
        return calibration.heldout_set.scored_by(find_metric("top1"))
    if classifies(calibration.heldout_set):
        return calibration.heldout_set.scored_by(find_metric("agreement"))
    return calibration.heldout_set.scored_by_relative_error()


def classifies(scoring: ScoringSet) -> bool:
    """Whether the model's outputs are classes, or scores of classes."""
    reference, layouts = scoring.criterion.reference, scoring.criterion.of_reference or {}
    assert reference is not None
    if not any(values.dtype.kind == "f" for values in reference[0].values()):
        return True
    try:
        widths = {class_scores(outputs).shape[1] for outputs in reference}
    except MetricError:
        return False
    if any(layout.channels is not None for layout in layouts.values()):
        return False  # numbers of unlike scale
    # An autoencoder's output is a row of numbers, too: as many as an input has.
    return len(widths) == 1 and not all(
        any(v.ndim and v.size == len(v) * max(widths) for v in batch.feed.values())
        for batch in scoring.batches
    )
