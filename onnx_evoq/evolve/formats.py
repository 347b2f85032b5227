"""Evolve the grids of activations by the error at the end of the network.

A genome has a gene for each grid: how many steps its scale is moved, by a factor of two for powers
of two, and by a fourth root of two else. These few genes are coupled, and no gradient tells what a
scale does to the end of the network: a search is at home here. The scales are inputs of the model
that scores, so candidates need no session of their own.

1. The start is the calibration: no gene moves.
2. A child moves one or two genes of its parent, by an octave at most (`Neuroevolution`); children
   are raced on the samples of the search set.
3. The best genome is accepted if it is better on the held-out set, too.
"""

import numpy as np

from onnx_evoq.activations import Activations
from onnx_evoq.array_types import Array, Codes
from onnx_evoq.engine import Evaluators
from onnx_evoq.model import Runnable
from onnx_evoq.quantize import ActivationGrid, Scale
from onnx_evoq.run import Deadline
from onnx_evoq.score import Race
from onnx_evoq.search import Neuroevolution
from onnx_evoq.setup import Task

_POPULATION = 8
_GENERATIONS = 200
_PATIENCE = 24  # generations without a better genome after which the search ends
_TWO_MOVES = 0.5  # probability that a child moves two genes in place of one
_STEPS = (1, 2, 4)  # of which a gene moves one at a time, up to an octave
_MOST_OCTAVES = 3  # that a scale may move away from the calibration
_STEPS_PER_OCTAVE: dict[Scale, int] = {"pow2": 1, "float": 4}


def evolve_formats(
    task: Task,
    activations: Activations,
    model: Runnable,
    scale: Scale,
    rng: np.random.Generator,
    deadline: Deadline,
) -> tuple[Activations, int]:
    """Move the scales of activations so that the error of the outputs falls.

    Args:
        task: the samples and the metric.
        activations: the grids to start from.
        model: the simulated model with its present weights.
        scale: "pow2" to move by factors of two, "float" for any.
        rng: draws the moves.
        deadline: when to stop.

    Returns:
        The activations with the best grids, or as they were; and how many candidates were scored.
    """
    names, per_octave = list(activations.grids), _STEPS_PER_OCTAVE[scale]

    def grids_of(genome: Codes) -> dict[str, ActivationGrid]:
        return {
            name: activations.at_scale(name, grid.scale * 2.0 ** (int(gene) / per_octave))
            for gene, (name, grid) in zip(genome, activations.grids.items(), strict=True)
        }

    def values_of(genome: Codes) -> dict[str, Array]:
        return activations.values(grids_of(genome))

    def child_of(genome: Codes) -> Codes:
        child, moves = genome.copy(), 1 + (rng.random() < _TWO_MOVES)
        genes = rng.choice(len(child), min(moves, len(child)), replace=False)
        sizes = rng.choice([size for size in _STEPS if size <= per_octave], len(genes))
        child[genes] += (sizes * rng.choice((-1, 1), len(genes))).astype(child.dtype)
        most = _MOST_OCTAVES * per_octave
        return np.clip(child, -most, most)

    start = np.zeros(len(names), np.int8)
    evaluators = Evaluators([task.search_set, task.heldout_set], task.resources, share=0.5)
    on_search, on_heldout = evaluators.at_whole_model(model, *values_of(start))
    race = Race(on_search, _POPULATION, values_of)
    search = Neuroevolution(start, _POPULATION, child_of)
    without_gain = 0
    with task.progress("evolving formats", _GENERATIONS) as step:
        for _ in range(_GENERATIONS):
            if deadline.passed or without_gain == _PATIENCE:
                break
            before = search.best_fitness
            candidates = search.ask()
            search.tell(candidates, race.fitness(candidates, stop=lambda: deadline.passed))
            without_gain = 0 if search.best_fitness < before else without_gain + 1
            step(1)
    fitness = on_heldout.metric.fitness
    best, old = (fitness(on_heldout.value(values_of(each))) for each in (search.best, start))
    found = activations.with_grids(grids_of(search.best)) if best < old else activations
    return found, on_search.evaluations
