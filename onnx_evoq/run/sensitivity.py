"""Sensitivity: algorithm 1 of arXiv 2605.05228.

Each weight alone is quantized, all others stay float, and the model is scored.
"""

from collections.abc import Mapping, Sequence

from onnx_evoq.model import Model, Weight
from onnx_evoq.progress import Progress, silent
from onnx_evoq.quantize import FixedPoint, dequantize, nearest
from onnx_evoq.run.scoring import ScoringSet, layer_evaluators


def rank_weights(
    model: Model,
    weights: Sequence[Weight],
    grids: Mapping[str, FixedPoint],
    scoring: ScoringSet,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, float]:
    """The metric with each weight alone on its grid, from the least to the most sensitive weight.

    Args:
        model: the float model.
        weights: the weights to rank.
        grids: the grid of each, by name.
        scoring: the samples that score.
        providers: as for `Session`.
        progress: shows how far it is.
    """
    values = {}
    with progress("sensitivity", len(weights)) as step:
        for weight in weights:
            (evaluator,) = layer_evaluators(model, weight.name, [scoring], providers)
            grid = grids[weight.name]
            values[weight.name] = evaluator.value(dequantize(nearest(weight.values, grid), grid))
            step(1)
    fitness = scoring.target.metric.fitness
    return dict(sorted(values.items(), key=lambda item: fitness(item[1])))
