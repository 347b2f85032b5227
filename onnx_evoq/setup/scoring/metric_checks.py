"""Whether a metric and the labels suit the outputs of the float model."""

import numpy as np

from onnx_evoq.data import Samples
from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.metrics import Metric, check_labels, class_numbers, class_scores, find_metric
from onnx_evoq.setup.scoring.scoring_set import ScoringSet

_HARDLY_BETTER = 1.2  # times the top-1 of guessing


def notes_on_accuracy(scoring: ScoringSet) -> list[str]:
    """A note if the float model's top-1 is hardly better than that of guessing."""
    assert scoring.criterion.reference is not None
    chance = 1 / max(_classes(scoring), 2)
    top1 = scoring.scored_by(find_metric("top1")).criterion.value(scoring.criterion.reference)
    if top1 > _HARDLY_BETTER * chance:
        return []
    return [
        f"the float model's top-1 is {100 * top1:.1f} % on these data, which is hardly better than "
        "chance: are the preprocessing (divide, mean, std) and the labels right?"
    ]


def check_metric(metric: Metric, scoring: ScoringSet) -> None:
    """Refuse a metric that gives no number for the float model itself."""
    if np.isnan(scoring.criterion.value(scoring.criterion.of_float_model)):
        raise MetricError(
            f"metric {metric.name!r} returns NaN for the float model's outputs: mend the metric."
        )


def _classes(scoring: ScoringSet) -> int:
    """The number of class scores in the first output; 0 if it is no row of them."""
    try:
        found = {class_scores(part).shape[1] for part in scoring.criterion.reference or ()}
    except MetricError:
        return 0
    return found.pop() if len(found) == 1 else 0


def labels_are_classes(
    metric: Metric, samples: Samples, scoring: ScoringSet
) -> tuple[bool, list[str]]:
    """Whether the labels are classes of the first output, and notes for the user.

    Raises:
        DataError: the labels are whole numbers, but out of range, and no user's metric reads them.
    """
    if samples.labels is None:
        return False, []
    classes = _classes(scoring)
    if not classes:
        return False, []
    if class_numbers(samples.labels) is None and metric.against != "labels":
        return False, [f"{samples.source}: the labels are no class numbers, so top-1 is left out."]
    try:
        check_labels(samples.labels, classes)
    except DataError:
        if metric.against != "user":
            raise
        return False, []
    return True, []
