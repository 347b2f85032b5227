"""Sensitivity: algorithm 1 of arXiv 2605.05228.

Each weight alone is quantized, all others stay float, and the model is scored: only what follows
the weight is run for it.
"""

from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.model import Model, Quantized
from onnx_evoq.progress import Progress, silent
from onnx_evoq.run import Deadline
from onnx_evoq.setup import DEFAULT_RESOURCES, Resources, ScoringSet


def rank_by_sensitivity(
    model: Model,
    quantized: Quantized,
    scoring: ScoringSet,
    deadline: Deadline | None = None,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> dict[str, float]:
    """The metric with each weight alone on its grid, from the least to the most sensitive weight.

    Where time ends before all of them are ranked, the others follow in their order with NaN.

    Args:
        model: the float model.
        quantized: what each weight becomes, by name.
        scoring: the samples that score.
        deadline: when to stop; None for no limit.
        resources: what scoring may use.
        progress: shows how far it is.
    """
    values = {}
    evaluators = Evaluators([scoring], resources)
    with progress("sensitivity", len(quantized)) as step:
        for name, weight in quantized.items():
            if deadline is not None and deadline.passed:
                values[name] = float("nan")
                continue
            (evaluator,) = evaluators.at(model, name)
            values[name] = evaluator.value({name: weight.values})
            step(1)
    fitness = scoring.target.metric.fitness
    return dict(sorted(values.items(), key=lambda item: fitness(item[1])))
