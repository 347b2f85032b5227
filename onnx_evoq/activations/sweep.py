"""Move each scale once by what it does to the end of the network.

The squared error of an activation is a poor guide where a few large values carry it, and the layers
behind do not need them: halving the scale of the inputs of a keyword spotter makes their error
forty times as large, and halves that of the outputs. So each scale is tried once at half and at
twice its size, in the graph's order, on a few samples. The held-out set has the last word on all.
"""

import numpy as np

from onnx_evoq.activations.placement import Activations
from onnx_evoq.array_types import Array
from onnx_evoq.engine import Evaluators
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task

_LEAST_SAMPLES, _MOST_SAMPLES = 16, 64
_PASSES = 12  # over the search set, which the sweep may cost
_FACTORS = (0.5, 2.0)
_LEAST_GAIN = 0.01  # share of the error


def swept(task: Task, activations: Activations, deadline: Deadline) -> Activations:
    """The activations after one sweep over all scales.

    Args:
        task: the samples and the metric.
        activations: the grids to start from.
        deadline: when to stop; the scales that follow stay as they are.
    """
    scales = np.array([grid.scale for grid in activations.grids.values()], np.float64)
    weights = (weight.values for weight in task.weights)
    steps = task.steps.of("scales of activations", (scales, *weights))
    kept = steps.load("all")
    if kept is not None:
        return _at_scales(activations, kept.arrays["scales"])
    runs = _PASSES * task.search_set.samples / (len(_FACTORS) * max(1, len(activations.grids)))
    scoring = task.search_set.first(int(np.clip(runs, _LEAST_SAMPLES, _MOST_SAMPLES)))
    fitness = scoring.criterion.metric.fitness
    start = activations.values(activations.grids)
    evaluators = Evaluators([scoring], task.resources, share=0.5)
    (evaluator,) = evaluators.at_whole_model(activations.network, *start)
    best, now = fitness(evaluator.value(start)), activations
    with task.progress("scales of activations", len(activations.grids)) as step:
        for name, grid in activations.grids.items():
            for factor in _FACTORS:
                if deadline.passed:
                    break
                tried = now.with_grids({name: now.at_scale(name, factor * grid.scale)})
                error = fitness(evaluator.value(tried.values(tried.grids)))
                if error < best - _LEAST_GAIN * abs(best):
                    best, now = error, tried
                    break
            step(1)
    better = now is not activations and task.fitness(now.network) < task.fitness(
        activations.network
    )
    found = now if better else activations
    if not deadline.passed:  # else more scales may be tried with more time
        scales = np.array([grid.scale for grid in found.grids.values()], np.float64)
        steps.save("all", {"scales": scales})
    return found


def _at_scales(activations: Activations, scales: Array) -> Activations:
    """The activations with the scales that a sweep found, (scales,)."""
    found = dict(zip(activations.grids, scales.tolist(), strict=True))
    moved = {name: s for name, s in found.items() if s != activations.grids[name].scale}
    return activations.with_grids({n: activations.at_scale(n, s) for n, s in moved.items()})
