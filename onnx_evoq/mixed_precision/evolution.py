"""Evolves genomes of a search space with NSGA-II over size and output error.

Each generation draws more children than are scored. The most promising are scored: the first
fronts by size and by predicted error, the sum of the sensitivities after compensation.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.engine import Evaluators, samples_in_time
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.search_space import Choice, Genome
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.search import NSGA2, survivors
from onnx_evoq.setup import Task

_POPULATION = 32
_GENERATIONS = 24
_CHILDREN = 4  # drawn for each one that is scored
_EVOLUTION_SAMPLES = 256
_LEAST_GENERATIONS = 4  # for which the samples are few enough
_TINY = 1e-300
_TIME_SHARE = 0.6  # of the time left, after which no generation begins


@dataclass(frozen=True, eq=False)
class Evolution:
    """The result of an evolution.

    Attributes:
        genomes: the genomes that no other beats in both size and error, the smallest first.
        sizes: the bytes of each.
        errors: the error of each.
        evaluations: how many individuals were scored.
        stopped: why the evolution ended early; None if it did not.
    """

    genomes: Sequence[Genome] = ()
    sizes: Sequence[float] = ()
    errors: Sequence[float] = ()
    evaluations: int = 0
    stopped: Stopped | None = None

    def best_within(self, limits: Iterable[float]) -> list[Genome]:
        """For each limit that any genome fits, the genome of the least error within it."""
        best = []
        for limit in limits:
            fitting = [index for index, size in enumerate(self.sizes) if size <= limit]
            if fitting:
                best.append(self.genomes[min(fitting, key=lambda index: self.errors[index])])
        return best


def evolve_widths(
    task: Task,
    table: LayerTable,
    compensated: LayerTable,
    initial: Sequence[Genome],
    rng: np.random.Generator,
) -> Evolution:
    """Minimise size and error together, with NSGA-II.

    An individual is put together from variants of its layers and scored in one session whose inputs
    are all weights. An error of the outputs (nmse) is corrected for compensation; a metric of
    labels or of the user's is taken as it is.

    Args:
        task: the samples, the resources and the deadline.
        table: the variants of the layers, and their sensitivities.
        compensated: the same, with the sensitivities that are left after compensation.
        initial: genomes of the first generation.
        rng: draws everything.
    """
    space, time_at_start = table.space, task.deadline.left
    if not time_at_start:
        return Evolution(stopped=Stopped.TIME)
    scoring = task.search_set.first(_EVOLUTION_SAMPLES)
    # A run of the whole model takes as long as two behind a weight, on average.
    runs = 2 * (len(initial) + _LEAST_GENERATIONS * _POPULATION)
    within = task.deadline.earlier((1 - _TIME_SHARE) * task.deadline.left)
    scoring = samples_in_time(scoring, runs, task.seconds, within, session=0)
    corrects = scoring.criterion.metric.against == "reference"
    if corrects:
        scoring = scoring.scored_by_relative_error()
    fitness, value_of = scoring.criterion.metric.fitness, scoring.criterion.metric.value_of
    evaluators = Evaluators([scoring], task.resources, share=0.5)
    (evaluator,) = evaluators.at(table.layers.model, *table.layers.floats)

    def errors(choices: Sequence[Choice]) -> Iterator[float]:
        """Those of the first individuals, until the time is up."""
        values = evaluator.values(choices, table.values, lambda: task.deadline.passed)
        for choice, value in zip(choices, values, strict=False):
            share = 1.0
            if corrects:
                predicted = max(table.predicted_error(choice), _TINY)
                share = compensated.predicted_error(choice) / predicted
            yield fitness(value) * share

    search = NSGA2(np.array(initial), space.choices, _POPULATION, rng)
    steps = task.steps.of("evolution", (np.array(initial), compensated.sensitivity))
    stopped = None
    with task.progress("evolving", _GENERATIONS) as step, until_interrupted() as interruption:
        for generation in range(_GENERATIONS):
            time_left = task.deadline.left
            late = time_left < (1 - _TIME_SHARE) * time_at_start
            if time_left == 0 or (generation and late):
                stopped = Stopped.TIME
                break
            asked = search.ask(None if generation == 0 else _CHILDREN * _POPULATION)
            if not len(asked):
                break  # the whole space has been scored
            choices = [space.decode(genome) for genome in asked]
            sizes = [space.size(choice) for choice in choices]
            scored = np.arange(len(asked))
            if generation:
                predicted = [compensated.predicted_error(choice) for choice in choices]
                scored = survivors(np.array([sizes, predicted]).T, _POPULATION)[0]
            kept = steps.load(f"generation {generation}")
            if kept is not None:
                objectives = kept.arrays["objectives"].tolist()
                evaluator.evaluations += len(objectives)
            else:
                found = errors([choices[k] for k in scored])
                objectives = [[sizes[k], each] for k, each in zip(scored, found, strict=False)]
                if len(objectives) == len(scored):  # else more may be scored with more time
                    array = np.array(objectives, np.float64)
                    steps.save(f"generation {generation}", {"objectives": array})
            search.tell(asked[scored[: len(objectives)]], objectives)
            least = search.front[1].reshape(-1, 2)[:, 1].min(initial=np.inf)
            step(1, best=value_of(least), evaluations=evaluator.evaluations)
    genomes, best = search.front
    best = best.reshape(-1, 2)  # of shape (0, 0) if nothing was scored
    return Evolution(
        list(genomes),
        best[:, 0].tolist(),
        best[:, 1].tolist(),
        evaluator.evaluations,
        interruption.reason or stopped,
    )
