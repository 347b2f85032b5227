"""Move each scale once by what it does to the end of the network.

The squared error of an activation is a poor guide where a few large values carry it, and the layers
behind do not need them: halving the scale of the inputs of a keyword spotter makes their error
forty times as large, and halves that of the outputs. So each scale is tried once at half and at
twice its size, in the graph's order, on a few samples. The held-out set has the last word on all.
"""

import numpy as np

from onnx_evoq.activations.placement import Activations
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
    return now if better else activations
