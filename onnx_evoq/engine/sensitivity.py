"""Rank weights by sensitivity: algorithm 1 of arXiv 2605.05228.

The sensitivity of a weight is the metric of the model in which this weight alone is quantized, and
all others stay float. Only the part of the model behind the weight is run for it.
"""

import math

import numpy as np

from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.model import Model, Quantized
from onnx_evoq.progress import Progress, silent
from onnx_evoq.record import NO_STEPS, Steps
from onnx_evoq.run import Deadline
from onnx_evoq.setup import DEFAULT_RESOURCES, Resources, ScoringSet, Task

_SUFFIX = 0.5  # of a run of the whole model, which a run behind a weight takes on average
_SESSION = 10.0  # samples through the model take about as long as to open a session behind a weight
_USED = 0.7  # of the time
_RANKING_PARTS = 3  # before a search, ranking may take one part in so many of the time


def samples_in_time(
    scoring: ScoringSet,
    weights: int,
    seconds: float,
    deadline: Deadline,
    *,
    session: float = _SESSION,
) -> ScoringSet:
    """The first samples of a set, so many that all weights are measured in time, at least a batch.

    Args:
        scoring: the scoring set.
        weights: how many weights are measured.
        seconds: that the whole model takes for one sample; 0 if that is not known.
        deadline: by which all weights must be measured.
        session: the time to open a session for a weight, in samples through the model.
    """
    if weights * seconds <= 0 or deadline.left == math.inf:
        return scoring
    affordable = int((_USED * deadline.left / (weights * seconds) - session) / _SUFFIX)
    return scoring if affordable >= scoring.samples else scoring.first(max(1, affordable))


def rank_by_sensitivity(
    model: Model,
    quantized: Quantized,
    scoring: ScoringSet,
    deadline: Deadline | None = None,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    steps: Steps = NO_STEPS,
) -> dict[str, float]:
    """Measure the sensitivity of each weight.

    Args:
        model: the float model.
        quantized: the quantized weights by name.
        scoring: the scoring set.
        deadline: the time after which no weight is measured any more; None for no limit.
        resources: what the runs may use.
        progress: shows how many weights are done.
        steps: where the weights are kept.

    Returns:
        The metric with each weight alone quantized, by name, from the least to the most sensitive
        weight. The weights that were not measured in time come last, in their order, with NaN.
    """
    values = {}
    evaluators = Evaluators([scoring], resources)
    with progress("sensitivity", len(quantized)) as step:
        for name, weight in quantized.items():
            if (kept := steps.load(name)) is not None:
                evaluators.passes(model, name)
                values[name] = float(kept.arrays["value"])
            elif deadline is not None and deadline.passed:
                values[name] = float("nan")
                continue
            else:
                (evaluator,) = evaluators.at(model, name)
                values[name] = evaluator.value({name: weight.values})
                steps.save(name, {"value": np.array(values[name])})
            step(1)
    fitness = scoring.criterion.metric.fitness

    def place(item: tuple[str, float]) -> float:
        return math.inf if math.isnan(item[1]) else fitness(item[1])

    return dict(sorted(values.items(), key=place))


def rank_in_time(task: Task) -> dict[str, float]:
    """The sensitivity of each weight at its own width, within a share of the task's time.

    The result is that of `rank_by_sensitivity`.
    """
    rounded = task.nearest(task.weights, task.bits)
    deadline = task.deadline.share(_RANKING_PARTS)
    return rank_by_sensitivity(
        task.model,
        rounded,
        task.search_set,
        deadline,
        task.resources,
        task.progress,
        task.steps.part("sensitivity"),
    )
