"""Mixed precision and channel expansion: NSGA-II over size and output error.

After Wang, Wang and He, "Evolving quantized neural networks for image classification using a
multi-objective genetic algorithm" (MOGAQNN), ICASSP 2021. A width per layer (or per group of its
channels), a share of channels to split per layer, and whether a layer has one step or one per
channel are a genome;

1. every layer is quantized at every width once (`candidates`); an individual is put together from
   these and scored in one session, whose inputs are all weights;
2. how much of each layer's error is left when the layers behind it make up for it is measured
   (`compensation`), and an individual's error is corrected by it;
3. the first generation holds the uniform widths, what the sensitivities choose (`allocation`), and
   what the errors that are left choose, so that the front never lies behind them; of many children
   the most promising are scored: the first fronts by size and by the sum of what is left of their
   parts' errors;
4. points over the whole range of sizes are built as they will be used, all layers in turn
   (`rebuilding`): of the front, and those chosen by what is left. What is then dominated goes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.engine import Evaluators
from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.bit_allocation import allocate
from onnx_evoq.mixed_precision.compensation import uncompensated_shares
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.point import ParetoPoint, build_point
from onnx_evoq.mixed_precision.space import WIDTHS, Genome, Space
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.search import NSGA2, non_dominated_sort, survivors
from onnx_evoq.setup import Drop, Granularity, Task

_POPULATION = 32
_GENERATIONS = 24
_CHILDREN = 4  # drawn for each that is scored
_FRONT_SAMPLES = 256  # that individuals are scored on
_TINY = 1e-300
_NEAR = 0.05  # sizes that differ by less, as a logarithm, are taken for the same
_TIMED = 0.6  # share of the time after which no generation is begun


@dataclass(frozen=True)
class ParetoFront:
    """What a search among policies found.

    Attributes:
        points: of the front, the smallest first.
        uniform: one width for all, the narrowest first.
        greedy: choices by sensitivity alone at the sizes of the uniform widths, the smallest first.
        evaluations: individuals that were scored.
        stopped: why the search ended early; None if it did not.
    """

    points: tuple[ParetoPoint, ...]
    uniform: tuple[ParetoPoint, ...]
    greedy: tuple[ParetoPoint, ...]
    evaluations: int
    stopped: Stopped | None


def search_front(
    task: Task,
    drop: Drop,
    rng: np.random.Generator,
    *,
    expansion: bool = True,
    groups: bool = False,
    in_file: bool = False,
    points: int = 8,
    kinds: Sequence[Granularity] = ("tensor",),
) -> ParetoFront:
    """Search for the policies that no other beats in both size and error.

    Args:
        task: what there is to do; its widths and guard play no part.
        drop: measures what a model loses.
        rng: draws everything.
        expansion: whether channels may be split.
        groups: whether the channels of a layer are divided into groups with a width each.
        in_file: whether the file's size counts, instead of the packed one.
        points: sizes between those of the uniform widths at which points are built, too.
        kinds: one step per tensor, one per channel, or both; uniform widths have the first.
    """
    candidates_rng, search_rng, build_rng = rng.spawn(3)
    seed = int(build_rng.integers(2**63))
    found = build_layer_table(task, candidates_rng, expansion, groups, in_file, kinds)
    space = found.space
    uniform = [space.uniform(bits) for bits in WIDTHS]
    sizes = [space.size(genome) for genome in uniform]
    greedy = allocate(found, sizes)
    between = np.geomspace(sizes[0], sizes[-1], points + 2)[1:-1]
    near = [any(abs(np.log(size / other)) < _NEAR for other in sizes) for size in between]
    targets = sorted([*sizes[:-1], *between[~np.array(near)]])

    built: dict[bytes, ParetoPoint] = {}
    stopped, evaluations = None, 0
    with until_interrupted() as interruption:
        # Uniform widths are what all others are compared with: they are always there.
        _build(task, space, uniform, seed, drop, built, always=True)
        _build(task, space, greedy, seed, drop, built)
        left = uncompensated_shares(task, found)
        counted = replace(found, sensitivity=found.sensitivity * left[:, None])
        path = allocate(counted, targets)
        first = [*uniform, *_unlike([*greedy, *path], uniform)]
        genomes, errors, evaluations, stopped = _evolve(task, found, counted, first, search_rng)
        _build(task, space, path, seed, drop, built)
        evolved = [genomes[index] for index in np.argsort(errors, kind="stable")]
        for limit in sizes[:-1]:
            fitting = [genome for genome in evolved if space.size(genome) <= limit]
            _build(task, space, fitting[:1], seed, drop, built)
        if task.deadline.passed:
            stopped = stopped or Stopped.TIME
    if interruption.reason and len(built) < len(uniform):
        raise KeyboardInterrupt  # there is nothing to keep yet
    stopped = interruption.reason or stopped
    fitness = task.search_set.target.metric.fitness
    everything = list(built.values())
    scores = np.array([[p.bytes(in_file), fitness(p.search)] for p in everything])
    best = sorted(non_dominated_sort(scores)[0], key=lambda index: scores[index, 0])

    def told(genomes: Iterable[Genome]) -> tuple[ParetoPoint, ...]:
        there = [built[g.tobytes()] for g in genomes if g.tobytes() in built]
        return tuple(sorted(there, key=lambda point: point.bytes(in_file)))

    return ParetoFront(
        tuple(everything[index] for index in best),
        told(uniform),
        told(greedy),
        evaluations,
        stopped,
    )


def _build(
    task: Task,
    space: Space,
    genomes: Sequence[Genome],
    seed: int,
    drop: Drop,
    built: dict[bytes, ParetoPoint],
    always: bool = False,
) -> None:
    """Build what is not there yet, while time is left."""
    missing = {g.tobytes(): g for g in genomes if g.tobytes() not in built}
    with task.progress("building", len(missing)) as step:
        for key, genome in missing.items():
            if task.deadline.passed and not always:
                break
            built[key] = build_point(task, space.policy(genome), seed, drop)
            step(1)


def _evolve(
    task: Task,
    found: LayerTable,
    counted: LayerTable,
    first: Sequence[Genome],
    rng: np.random.Generator,
) -> tuple[list[Genome], list[float], int, Stopped | None]:
    """The genomes of the front with their errors, how many were scored, and why it ended early.

    An error (nmse) is that of layers quantized each by itself, times what that counts by `counted`.
    A metric of labels or of the user's is what it is.
    """
    space, total = found.space, task.deadline.left
    scoring = task.search_set.first(_FRONT_SAMPLES)
    compares = scoring.target.metric.against == "reference"
    if compares:
        scoring = scoring.scored_by(find_metric("nmse"))
    evaluators = Evaluators([scoring], task.resources, share=0.5)
    (evaluator,) = evaluators.at(found.model, *found.floats)
    fitness = scoring.target.metric.fitness

    def error(genome: Genome) -> float:
        value = fitness(evaluator.value(found.values(genome)))
        if not compares:
            return value
        return value * counted.guess(genome) / max(found.guess(genome), _TINY)

    search = NSGA2(np.array(first), space.choices, _POPULATION, rng)
    stopped = None
    with task.progress("evolving", _GENERATIONS) as step, until_interrupted() as interruption:
        for turn in range(_GENERATIONS):
            left = task.deadline.left
            if turn and (left == 0 or left < (1 - _TIMED) * total):
                stopped = Stopped.TIME
                break
            asked = search.ask(None if turn == 0 else _CHILDREN * _POPULATION)
            if not len(asked):
                break
            sizes = [space.size(genome) for genome in asked]
            guesses = np.array([sizes, [counted.guess(genome) for genome in asked]]).T
            if turn:
                asked = asked[survivors(guesses, _POPULATION)[0]]
            search.tell(asked, [[space.size(genome), error(genome)] for genome in asked])
            step(1)
    genomes, objectives = search.front
    errors = [error for _, error in objectives]  # none if the first generation was interrupted
    return list(genomes), errors, evaluator.evaluations, interruption.reason or stopped


def _unlike(genomes: Iterable[Genome], others: Sequence[Genome]) -> list[Genome]:
    known = {genome.tobytes() for genome in others}
    return [genome for genome in genomes if genome.tobytes() not in known]
