"""Mixed precision and channel expansion: NSGA-II over size and output error.

After Wang, Wang and He, "Evolving quantized neural networks for image classification using a
multi-objective genetic algorithm" (MOGAQNN), ICASSP 2021. A genome holds a width per layer (or per
group of its channels), the share of each layer's channels that are split, and whether a layer has
one step or one per channel. The search takes these steps:

1. Tabulate the layers: each is quantized once in all variants, and its sensitivity is measured
   (`layer_table`).
2. Choose the sizes: those of the uniform widths, and some between them.
3. Build the points of the uniform widths, and of a greedy allocation of bits at their sizes
   (`bit_allocation`).
4. Measure compensation: the share of each layer's error that the layers behind it cannot make up
   for (`compensation`). Bits are allocated again by the sensitivity that is left.
5. Evolve all of these genomes with NSGA-II (`evolution`), so that its front never lies behind them.
   An individual is put together from the variants.
6. Build the points of the second allocation, and of the best evolved genome at each uniform size.
7. Build points of the front again whose layers had too little time.
8. Select the front: the points that no other beats in both size and error.

To build a point is to reconstruct all layers of the model in turn, much as `optimize` does, but
from fewer samples and without regard to activations (`point`).

All steps keep to the time. Each of steps 1, 4 and 5 has a share of what is left, and does with
fewer samples where that is short. A point's layers are reconstructed with as much effort as fits
into its time. That is the same for the points of step 3, and longer in steps 6 and 7, where the
front is: where time is short, few points of little error are worth more than many. Where not all
points can be built, those of step 6 come before the greedy ones, and are taken from all over the
range of sizes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.mixed_precision.bit_allocation import allocate
from onnx_evoq.mixed_precision.compensation import uncompensated_shares
from onnx_evoq.mixed_precision.evolution import Evolution, evolve_widths
from onnx_evoq.mixed_precision.layer_table import build_layer_table
from onnx_evoq.mixed_precision.point import ParetoPoint, PointBuilder
from onnx_evoq.mixed_precision.search_space import WIDTHS, SearchSpaceOptions
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.search import non_dominated_sort
from onnx_evoq.setup import Drop, ScoringSet, Task

_POINTS, _POINTS_SHARE = 14, 0.6  # points that are built in this share of the time, at least
_STEPS_SHARE = 0.5  # of the time left, which steps 4 and 5 have at least
_PROMISING = 8  # points of step 6 that have time for their layers before others are built
_REFINED_SHARE = 0.15  # of the time left, which step 7 has if points are hasty
_SAME_SIZE = 0.05  # sizes whose logarithms differ by less are taken for the same


@dataclass(frozen=True)
class ParetoFront:
    """The result of a search among policies.

    Attributes:
        points: the points that no other beats in both size and error, the smallest first.
        uniform: the points with one width for all layers, the narrowest first; where time is very
            short, only the widest of them.
        greedy: the points of a bit allocation by sensitivity alone, at the sizes of the uniform
            widths, the smallest first.
        evaluations: how many individuals were scored.
        stopped: why the search ended early; None if it did not.
        notes: sentences about what was left out to save time.
    """

    points: tuple[ParetoPoint, ...]
    uniform: tuple[ParetoPoint, ...]
    greedy: tuple[ParetoPoint, ...]
    evaluations: int
    stopped: Stopped | None
    notes: tuple[str, ...] = ()


def search_front(
    task: Task,
    drop: Drop,
    rng: np.random.Generator,
    options: SearchSpaceOptions,
    points: int = 8,
    scored: ScoringSet | None = None,
) -> ParetoFront:
    """Search for the policies that no other beats in both size and error.

    Args:
        task: the model, its weights, its samples and the time; its widths and its max drop play no
            part.
        drop: measures what a model loses.
        rng: draws everything.
        options: what the search may choose.
        points: how many sizes between the narrowest and the widest uniform width get a point, too.
        scored: the samples of the search set that points are measured on; None for all.
    """
    table_rng, evolution_rng, point_rng = rng.spawn(3)

    # 1. Tabulate the layers.
    table = build_layer_table(task, table_rng, options)
    space = table.space

    # 2. Choose the sizes.
    uniform = [space.uniform(bits) for bits in WIDTHS]
    uniform_sizes = [space.size(space.decode(genome)) for genome in uniform]
    sizes = sorted([*uniform_sizes[:-1], *sizes_between(uniform_sizes, points)])

    # 3. Build the uniform points, which all others are compared with, and the greedy points.
    greedy = allocate(table, uniform_sizes)
    seconds = _POINTS_SHARE * task.deadline.left / _POINTS
    seed = int(point_rng.integers(2**63))
    builder = PointBuilder(task, space, drop, seed, scored)
    evolution, fitness = Evolution(), task.search_set.criterion.metric.fitness
    with until_interrupted() as interruption:
        # The widest in any case.
        builder.build([uniform[-1], *uniform[:-1]], seconds=seconds, always=True)
        wanted = len(greedy) + len(sizes) + len(uniform)  # points, if all that follow are built
        short = wanted * builder.mean > _STEPS_SHARE * task.deadline.left
        if not short:
            builder.build(greedy, seconds=seconds)

        # 4. Measure compensation.
        reserve = min(wanted * builder.mean, (1 - _STEPS_SHARE) * task.deadline.left)
        early = replace(task, deadline=task.deadline.earlier(reserve))
        compensated = table.compensated(uncompensated_shares(early, table))
        allocated = allocate(compensated, sizes)

        # 5. Evolve.
        initial = [*uniform, *greedy, *allocated]
        evolution = evolve_widths(early, table, compensated, initial, evolution_rng)

        # 6. Build what is promising.
        if evolution.stopped is not Stopped.INTERRUPT:
            promising = [*allocated, *evolution.best_within(uniform_sizes[:-1])]
            # Where time is short: at sizes all over the range, and the greedy points last.
            in_order = [*promising[1::2], *promising[::2], *greedy] if short else promising
            hasty, left = any(each.cut for each in builder.points.values()), task.deadline.left
            builder.build(
                in_order,
                seconds=max(seconds, left / _PROMISING),
                reserve=_REFINED_SHARE * left if hasty else 0.0,
            )

            # 7. Build hasty points of the front again.
            builder.refine(pareto_points(list(builder.points.values()), fitness, options.in_file))
    if interruption.reason and len(builder.built(uniform)) < len(uniform):
        raise KeyboardInterrupt  # there is nothing to keep yet

    # 8. Select the front.
    notes = _notes_on(table.layers.cut, builder)
    out_of_time = Stopped.TIME if task.deadline.passed or notes else None
    return ParetoFront(
        pareto_points(list(builder.points.values()), fitness, options.in_file),
        _by_size(builder.built(uniform), options.in_file),
        _by_size(builder.built(greedy), options.in_file),
        evolution.evaluations,
        interruption.reason or evolution.stopped or out_of_time,
        notes,
    )


def _notes_on(cut: str, builder: PointBuilder) -> tuple[str, ...]:
    """What was left out to save time."""
    notes = [f"where widths were compared: {cut}"] if cut else []
    shorter = sum(bool(point.cut) for point in builder.points.values())
    if shorter:
        notes.append(
            f"to save time, {shorter} of {len(builder.points)} points have a shorter "
            "reconstruction than optimize gives them."
        )
    if builder.skipped:
        notes.append(f"{builder.skipped} points were not built for lack of time.")
    return tuple(notes)


def sizes_between(uniform_sizes: Sequence[int], count: int) -> list[float]:
    """Sizes in geometric progression between the smallest and the largest uniform one.

    Sizes that nearly equal a uniform one are left out.

    Args:
        uniform_sizes: bytes of the uniform widths, ascending.
        count: how many sizes there are in the progression, both ends left out.

    Example:
        >>> [round(size) for size in sizes_between([100, 400, 1600], 3)]
        [200, 800]
    """
    between = np.geomspace(uniform_sizes[0], uniform_sizes[-1], count + 2)[1:-1].tolist()
    return [
        size
        for size in between
        if all(abs(np.log(size / uniform)) >= _SAME_SIZE for uniform in uniform_sizes)
    ]


def pareto_points(
    points: Sequence[ParetoPoint], fitness: Callable[[float], float], in_file: bool
) -> tuple[ParetoPoint, ...]:
    """The points that no other beats in both size and error on the search set, smallest first.

    Args:
        points: the points.
        fitness: turns a value of the metric into an error, which is minimised.
        in_file: whether the size is that of the file, instead of the packed size.
    """
    objectives = np.array([[point.bytes(in_file), fitness(point.search)] for point in points])
    return _by_size([points[index] for index in non_dominated_sort(objectives)[0]], in_file)


def _by_size(points: Sequence[ParetoPoint], in_file: bool) -> tuple[ParetoPoint, ...]:
    return tuple(sorted(points, key=lambda point: point.bytes(in_file)))
