"""The scores that are reported: a whole model in a new session, on both sets."""

from dataclasses import asdict, dataclass
from typing import Any

from onnx_evoq.metrics import find_metric
from onnx_evoq.model import Model
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.score import predict
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.model_run import open_session
from onnx_evoq.setup.resources import DEFAULT_RESOURCES, Resources


@dataclass(frozen=True)
class Score:
    """The metric on both sets, and top-1 if the labels are classes.

    Attributes:
        search: the metric on the search set.
        heldout: the metric on the held-out set.
        top1: {"search": .., "heldout": ..} as shares of 1; None without such labels.
    """

    search: float
    heldout: float
    top1: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; `top1` only if there is one."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def score_of(
    model: Model,
    calibration: Calibration,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Score:
    """Score a model on both sets, in a new session.

    Args:
        model: any form of the float model.
        calibration: the samples and the metric.
        resources: the execution providers.
        progress: shows how many batches are done.
    """
    session = open_session(model, resources)
    values: dict[str, float] = {}
    shares: dict[str, float] = {}
    sets = {"search": calibration.search_set, "heldout": calibration.heldout_set}
    with progress("scoring", sum(len(scoring.batches) for scoring in sets.values())) as step:
        for part, scoring in sets.items():
            outputs = list(stepping(predict(session, scoring.batches), step))
            values[part] = scoring.target.value(outputs)
            if calibration.has_classes:
                shares[part] = scoring.scored_by(find_metric("top1")).target.value(outputs)
    return Score(values["search"], values["heldout"], shares or None)
