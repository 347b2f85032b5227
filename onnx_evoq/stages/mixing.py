"""Mixed precision and channel expansion: NSGA-II over size and output error.

After Wang, Wang and He, "Evolving quantized neural networks for image classification using a
multi-objective genetic algorithm" (MOGAQNN), ICASSP 2021. A width per layer and a share of channels
to split per layer are a genome;

1. every layer is quantized at every width once (`candidates`); an individual is put together from
   these and scored in one session, whose inputs are all weights;
2. the uniform widths, and what a greedy search by sensitivity finds at their sizes, are built as
   they will be used, all layers in turn (`rebuilding`): that tells how much the sensitivities
   count (`calibration`), and an individual's error is corrected by it;
3. the first generation holds the uniform widths and the greedy choices, so that the front never
   lies behind them; of many children the most promising are scored: the first fronts by size and by
   the sum of what their parts do by themselves;
4. points of the front over the whole range of sizes are built, those that the sensitivities choose
   by now beside them, and again with what they taught. What is then dominated goes.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.score import find_metric
from onnx_evoq.search import NSGA2, hypervolume, non_dominated_sort, survivors
from onnx_evoq.stages.calibration import weights_by_depth
from onnx_evoq.stages.candidates import Candidates, find_candidates
from onnx_evoq.stages.engine import Engine
from onnx_evoq.stages.guard import Drop
from onnx_evoq.stages.rebuilding import Point, rebuild
from onnx_evoq.stages.space import WIDTHS, Genome, Space
from onnx_evoq.stages.task import Task

_POPULATION = 32
_GENERATIONS = 24
_CHILDREN = 4  # drawn for each that is scored
_SAMPLES = 256  # that individuals are scored on
_GREEDY = 16  # greedy choices in the first generation
_TINY = 1e-300
_NEAR = 0.05  # sizes that differ by less, as a logarithm, are as good as one
_TIMED = 0.4  # share of the time after which no generation is begun


@dataclass(frozen=True)
class Front:
    """What a search among policies found.

    Attributes:
        points: of the front, the smallest first.
        uniform: one width for all, the narrowest first.
        greedy: choices by sensitivity alone, the smallest first; the widest and the narrowest are
            uniform widths, too.
        evaluations: individuals that were scored.
        stopped: "time" or "interrupt" if the search ended early, else None.
    """

    points: tuple[Point, ...]
    uniform: tuple[Point, ...]
    greedy: tuple[Point, ...]
    evaluations: int
    stopped: str | None


def search_front(
    task: Task,
    drop: Drop,
    rng: np.random.Generator,
    *,
    expansion: bool = True,
    groups: bool = False,
    in_file: bool = False,
    points: int = 8,
) -> Front:
    """Search for the policies that no other beats in both size and error.

    Args:
        task: what there is to do; its widths and guard play no part.
        drop: measures what a model loses.
        rng: draws everything.
        expansion: whether channels may be split.
        groups: whether the channels of a layer are divided into groups with a width each.
        in_file: whether the file's size counts, instead of the packed one.
        points: sizes between those of the uniform widths at which points are built, too.
    """
    candidates_rng, search_rng, build_rng = rng.spawn(3)
    seed = int(build_rng.integers(2**63))
    found = find_candidates(task, candidates_rng, expansion, groups, in_file)
    space = found.space
    uniform = [space.uniform(bits) for bits in WIDTHS]
    sizes = [space.size(genome) for genome in uniform]
    greedy = _at_sizes_of(space, greedy_path(found), sizes)
    between = np.geomspace(sizes[0], sizes[-1], points + 2)[1:-1]
    near = [any(abs(np.log(size / other)) < _NEAR for other in sizes) for size in between]
    targets = sorted([*sizes[:-1], *between[~np.array(near)]])

    built: dict[bytes, tuple[Genome, Point]] = {}
    stopped, evaluations = None, 0
    try:
        # Uniform widths are what all others are compared with: they are always there.
        _build(task, space, uniform, seed, drop, built, always=True)
        _build(task, space, greedy, seed, drop, built)
        counted = _counted(found, built.values())
        path = greedy_path(counted)
        first = [*uniform, *_unlike(greedy, uniform), *path[:: max(1, len(path) // _GREEDY)]]
        genomes, errors, evaluations, stopped = _evolve(task, found, counted, first, search_rng)
        for limits in (targets, sizes[:-1]):
            # The front, and what sensitivities say by now, at the sizes that are wanted.
            again = _counted(found, built.values())
            path = _at_sizes_of(space, greedy_path(again), limits)
            ratios = [again.guess(g) / max(counted.guess(g), _TINY) for g in genomes]
            order = np.argsort(np.array(errors) * ratios, kind="stable")
            chosen = _at_sizes_of(space, [genomes[place] for place in order], limits)
            _build(task, space, [*chosen, *path], seed, drop, built)
        if task.deadline.passed:
            stopped = stopped or "time"
    except KeyboardInterrupt:
        if len(built) < len(uniform):
            raise
        stopped = "interrupt"
    fitness = task.search_set.target.metric.fitness
    everything = [point for _, point in built.values()]
    scores = np.array([[_bytes(p, in_file), fitness(p.search)] for p in everything])
    best = sorted(non_dominated_sort(scores)[0], key=lambda place: scores[place, 0])

    def told(genomes: Iterable[Genome]) -> tuple[Point, ...]:
        there = [built[g.tobytes()][1] for g in genomes if g.tobytes() in built]
        return tuple(sorted(there, key=lambda point: _bytes(point, in_file)))

    return Front(
        tuple(everything[place] for place in best),
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
    built: dict[bytes, tuple[Genome, Point]],
    always: bool = False,
) -> None:
    """Build what is not there yet, while time is left."""
    missing = {g.tobytes(): g for g in genomes if g.tobytes() not in built}
    with task.progress("building", len(missing)) as step:
        for key, genome in missing.items():
            if task.deadline.passed and not always:
                break
            built[key] = genome, rebuild(task, space.policy(genome), seed, drop)
            step(1)


def _counted(found: Candidates, built: Collection[tuple[Genome, Point]]) -> Candidates:
    """The candidates with their harm as it counts in models that are built in turn."""
    harms = np.array([found.harms(genome) for genome, _ in built])
    weights = weights_by_depth(harms, [point.nmse for _, point in built], found.depths)
    return replace(found, harm=found.harm * weights[:, None])


def greedy_path(found: Candidates) -> list[Genome]:
    """From 8 bits down, each step that which harms the output least for the bytes that it saves."""
    space = found.space
    genome, parts = space.uniform(WIDTHS[-1]), len(space.parts)
    codes = np.array([part.rows * part.columns for part in space.parts], np.float64)
    path = [genome.copy()]
    while genome[:parts].any():
        now = genome[:parts]
        place = np.arange(parts)
        harm = found.harm[place, np.maximum(now - 1, 0)] - found.harm[place, now]
        # Where less is better, the most bytes go first.
        price = np.where(harm > 0, harm / codes, harm * codes)
        genome[int(np.where(now > 0, price, np.inf).argmin())] -= 1
        path.append(genome.copy())
    return path


def at_sizes(
    genomes: Sequence[Genome], sizes: Sequence[float], limits: Iterable[float]
) -> list[Genome]:
    """For each limit the last of the genomes that is not larger, where there is one; no two alike.

    Example:
        >>> path = [np.array([2]), np.array([1]), np.array([0])]
        >>> [g.item() for g in at_sizes(path[::-1], [1, 4, 9], [4, 5, 10])]
        [1, 2]
    """
    found: dict[bytes, Genome] = {}
    for limit in limits:
        fitting = [g for g, size in zip(genomes, sizes, strict=True) if size <= limit]
        if fitting:
            found[fitting[-1].tobytes()] = fitting[-1]
    return list(found.values())


def hypervolumes(
    front: Front, fitness: Callable[[float], float], in_file: bool = False
) -> dict[str, float]:
    """The share of a box that front, uniform widths and greedy choices dominate, on held-out data.

    The box reaches from the best size and error of all points to the worst of the uniform widths;
    sizes and errors are taken as logarithms (errors as they are, if one is not positive). Points
    whose error is no finite number dominate nothing; NaN stands for all shares if the uniform
    widths have no other.

    Args:
        front: what was found.
        fitness: of a value of the metric.
        in_file: whether the file's size counts, instead of the packed one.
    """
    rows = {"front": front.points, "uniform": front.uniform, "greedy": front.greedy}
    values = {
        name: np.array([[_bytes(p, in_file), fitness(p.heldout)] for p in points]).reshape(-1, 2)
        for name, points in rows.items()
    }
    values = {name: points[np.isfinite(points[:, 1])] for name, points in values.items()}
    if not len(values["uniform"]):
        return dict.fromkeys(rows, float("nan"))
    everything = np.concatenate(list(values.values()))
    logarithm = np.array([True, bool((everything[:, 1] > 0).all())])

    def placed(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(logarithm, np.log(np.where(logarithm, points, 1.0)), points)

    box = placed(values["uniform"])
    low, high = np.minimum(box.min(axis=0), placed(everything).min(axis=0)), box.max(axis=0)
    size = np.where(high > low, high - low, 1.0)
    return {
        name: hypervolume((placed(points) - low) / size, [1.0, 1.0])
        for name, points in values.items()
    }


def _evolve(
    task: Task,
    found: Candidates,
    counted: Candidates,
    first: Sequence[Genome],
    rng: np.random.Generator,
) -> tuple[list[Genome], list[float], int, str | None]:
    """The genomes of the front with their errors, how many were scored, and why it ended early.

    An error (nmse) is that of layers quantized each by itself, times what that counts by `counted`.
    A metric of labels or of the user's is what it is.
    """
    space, total = found.space, task.deadline.left
    scoring = task.search_set.first(_SAMPLES)
    compares = scoring.target.metric.against == "reference"
    if compares:
        scoring = scoring.scored_by(find_metric("nmse"))
    engine = Engine([scoring], task.resources, share=0.5)
    (evaluator,) = engine.evaluators(found.model, *found.floats)
    fitness = scoring.target.metric.fitness

    def error(genome: Genome) -> float:
        value = fitness(evaluator.value(found.values(genome)))
        if not compares:
            return value
        return value * counted.guess(genome) / max(found.guess(genome), _TINY)

    search = NSGA2(np.array(first), space.choices, _POPULATION, rng)
    stopped = None
    with task.progress("evolving", _GENERATIONS) as step:
        try:
            for turn in range(_GENERATIONS):
                left = task.deadline.left
                if turn and (left == 0 or left < (1 - _TIMED) * total):
                    stopped = "time"
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
        except KeyboardInterrupt:  # what was found by then is worth keeping
            stopped = "interrupt"
    genomes, objectives = search.front
    errors = [error for _, error in objectives]  # none if the first generation was interrupted
    return list(genomes), errors, evaluator.evaluations, stopped


def _at_sizes_of(space: Space, genomes: Sequence[Genome], limits: Iterable[float]) -> list[Genome]:
    """For each limit the first of the genomes that is not larger."""
    return at_sizes(genomes[::-1], [space.size(genome) for genome in genomes[::-1]], limits)


def _unlike(genomes: Iterable[Genome], others: Sequence[Genome]) -> list[Genome]:
    known = {genome.tobytes() for genome in others}
    return [genome for genome in genomes if genome.tobytes() not in known]


def _bytes(point: Point, in_file: bool) -> int:
    return point.file_bytes if in_file else point.packed_bytes
