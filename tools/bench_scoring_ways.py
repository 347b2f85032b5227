"""The ways of scoring candidates that bench_scoring.py compares, and what it measures of them."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bench_scoring_case import Behind, Bench, Values, behind, spread

from onnx_evoq.engine import ActivationCache, Evaluators
from onnx_evoq.evolve import SearchSettings, evolve_layers
from onnx_evoq.model import as_network, replace_weights
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.setup import model_value, workers_of

TRIAL = 0.3  # seconds after which it is clear how the runs share the cores


@dataclass
class Timing:
    """Seconds and candidates by way."""

    seconds: dict[str, float] = field(default_factory=dict)
    candidates: dict[str, int] = field(default_factory=dict)

    def measure(self, way: str, work: Callable[[], Any], candidates: int = 1) -> Any:
        """Do `work`, and add its time to `way`."""
        began = time.perf_counter()
        result = work()
        self.seconds[way] = self.seconds.get(way, 0.0) + time.perf_counter() - began
        self.candidates[way] = self.candidates.get(way, 0) + candidates
        return result

    def each(self, way: str) -> float:
        """Seconds per candidate."""
        return self.seconds[way] / self.candidates[way]


@dataclass
class Kept:
    """The candidates that full scoring keeps, and how many of them the race keeps too."""

    stay: int = 0  # after each generation, parents and children
    children: int = 0  # of these, children
    missed: int = 0  # of these, given up by the race

    @property
    def right(self) -> float:
        """Share of what stays that the race keeps."""
        return 1 - self.missed / max(self.stay, 1)

    @property
    def right_children(self) -> float:
        """Share of the children that stay that the race keeps."""
        return 1 - self.missed / max(self.children, 1)


class WayTimer:
    """Times all ways but the race.

    It keeps the activations at the last cut, so that the next cut can start from there.
    """

    def __init__(self, bench: Bench, timing: Timing) -> None:
        resources = bench.resources()
        self._bench, self._timing = bench, timing
        self._evaluators = Evaluators([bench.search], resources, share=0.5)
        self._cache = ActivationCache(bench.search.batches, resources, share=0.5)

    def measure(self, name: str) -> float:
        """Time the ways for one weight, by its name.

        Returns:
            The largest relative difference of scores.
        """
        bench, timing, evaluators = self._bench, self._timing, self._evaluators
        (evaluator,), (whole,) = (
            make(bench.model, name) for make in (evaluators.at, evaluators.at_whole_model)
        )
        values_of, search = bench.values(name), bench.search_for(name)
        start = search.ask()
        first = values_of(start[0])
        search.tell(start, np.array([evaluator.value(first)]))
        some = [values_of(codes) for codes in search.ask()[: bench.given.naive]]
        for each in (evaluator, whole):
            end_trial(each, some)
        raw = raw_runs(behind(bench.model, name, self._cache, bench.search), bench, some)
        whole.value(first), raw([first])  # warm
        batches = len(evaluator.counts)
        scored = timing.measure(
            "engine", lambda: evaluator.losses(some, lambda values: values, 0, batches), len(some)
        )
        timing.measure("raw", lambda: raw(some), len(some))
        worst = 0.0
        for values, losses in zip(some, scored, strict=True):
            one = timing.measure("one session", lambda values=values: whole.value(values))
            naive = timing.measure(
                "naive",
                lambda values=values: model_value(
                    replace_weights(bench.model, values), bench.search
                ),
            )
            worst = max(worst, abs(losses.mean() / naive - 1), abs(one / naive - 1))
        return worst


def end_trial(evaluator: Evaluator, some: Sequence[Any]) -> None:
    """Score the first batch until it is clear how the runs share the cores."""
    began, turns = time.perf_counter(), 0
    while turns < 4 or time.perf_counter() - began < TRIAL:
        evaluator.losses(some, lambda values: values, 0, 1)
        turns += 1


def raw_runs(part: Behind, bench: Bench, some: Sequence[Values]) -> Callable[[Sequence[Any]], None]:
    """The runs for candidates without metric and bookkeeping, in the faster of two ways.

    They go one after another, or as many at a time as there are workers.
    """
    session = part.session(threads=1)
    feeds = [part.feed(some[0], batch) for batch in range(len(part.known))]
    pool = ThreadPoolExecutor(workers_of(bench.resources()))

    def runs(candidates: Sequence[Values]) -> list[dict[str, Any]]:
        return [{**feed, **each} for each in candidates for feed in feeds]

    def one_by_one(candidates: Sequence[Values]) -> None:
        for feed in runs(candidates):
            session.run(None, feed)

    def side_by_side(candidates: Sequence[Values]) -> None:
        list(pool.map(lambda feed: session.run(None, feed), runs(candidates)))

    seconds: dict[Callable[[Sequence[Any]], None], list[float]]
    seconds = {one_by_one: [], side_by_side: []}
    start = time.perf_counter()
    while len(seconds[side_by_side]) < 4 or time.perf_counter() - start < TRIAL:
        for way, times in seconds.items():
            began = time.perf_counter()
            way(some)
            times.append(time.perf_counter() - began)
    return min(seconds, key=lambda way: min(seconds[way]))


def measure_race(
    bench: Bench, name: str, evaluators: Evaluators, timing: Timing, kept: Kept
) -> None:
    """Time the race and full scoring on the generations of one weight's search."""
    (evaluator,), (other,) = (evaluators.at(bench.model, name) for _ in range(2))
    search, values_of = bench.search_for(name), bench.values(name)
    race = Race(evaluator, bench.given.population, values_of, bench.given.doubt)
    full = Race(other, bench.given.population, values_of, np.inf)
    start = search.ask()
    race.fitness(start)
    search.tell(start, full.fitness(start))
    for _ in range(bench.given.generations):
        parents = {codes.tobytes() for codes in search.parents}
        candidates = search.ask()
        raced = timing.measure(
            "race", lambda generation=candidates: race.fitness(generation), len(candidates)
        )
        exact = timing.measure(
            "full", lambda generation=candidates: full.fitness(generation), len(candidates)
        )
        search.tell(candidates, exact)
        stay = {codes.tobytes() for codes in search.parents} - parents
        kept.stay += len(search.parents)
        for codes, fitness in zip(candidates, raced, strict=True):
            kept.children += codes.tobytes() in stay
            kept.missed += codes.tobytes() in stay and not np.isfinite(fitness)


def started(bench: Bench) -> QuantizedModel:
    """Where a search starts: the rounded weights."""
    return QuantizedModel(as_network(bench.model), bench.start, {}, tuple(bench.start))


def measure_memory(bench: Bench, names: Sequence[str]) -> tuple[bool, float]:
    """Whether a search with little memory finds the same codes; its time over that with more."""
    settings = SearchSettings(bench.given.population, 4, bench.given.mutation_rate)
    found, seconds = [], []
    for memory in (None, bench.given.little_memory):
        began = time.perf_counter()
        task, start = bench.task(bench.resources(memory=memory)), started(bench)
        draws = {name: np.random.default_rng(bench.given.seed) for name in names}
        evolved = evolve_layers(task, start, settings, draws)
        seconds.append(time.perf_counter() - began)
        found.append([evolved.quantized[name].codes.tobytes() for name in names])
    return found[0] == found[1], seconds[1] / seconds[0]


def measure_workers(bench: Bench, names: Sequence[str]) -> tuple[bool, float]:
    """Whether two workers give one worker's scores to the bit, and their time over its time."""
    timing, same = Timing(), True
    for name in names:
        search, values_of = bench.search_for(name), bench.values(name)
        races = []
        for workers in (1, 2):
            evaluators = Evaluators([bench.search], bench.resources(workers=workers))
            (evaluator,) = evaluators.at(bench.model, name)
            races.append(Race(evaluator, bench.given.population, values_of, bench.given.doubt))
        start = search.ask()
        for race in races:
            fitness = race.fitness(start)
        search.tell(start, fitness)
        for _ in range(bench.given.generations):
            candidates = search.ask()
            one, two = (
                timing.measure(way, lambda r=race, c=candidates: r.fitness(c))
                for way, race in zip(("one", "two"), races, strict=True)
            )
            same = same and one.tobytes() == two.tobytes()
            search.tell(candidates, one)
    return same, timing.each("two") / timing.each("one")


def growth(bench: Bench, names: Sequence[str]) -> list[list[str]]:
    """Rows: what grows, how much of it, seconds, and seconds for each of it."""
    rows = []
    middle = names[len(names) // 2]
    (evaluator,) = Evaluators([bench.search], bench.resources()).at(bench.model, middle)
    search, values_of = bench.search_for(middle), bench.values(middle)
    start = search.ask()
    search.tell(start, np.array([evaluator.value(values_of(start[0]))]))
    generation = search.ask()
    end_trial(evaluator, [values_of(codes) for codes in generation])
    batches = len(evaluator.counts)

    def row(what: str, count: int, seconds: float) -> list[str]:
        return [what, f"{count:,}", f"{seconds:.3f}", f"{1000 * seconds / count:.3f}"]

    for share in (4, 2, 1):
        end = max(1, batches // share)
        began = time.perf_counter()
        evaluator.losses(generation[:8], values_of, 0, end)
        rows.append(row("images", sum(evaluator.counts[:end]), time.perf_counter() - began))
    for share in (4, 2, 1):
        some = generation[: len(generation) // share]
        began = time.perf_counter()
        evaluator.losses(some, values_of, 0, batches)
        rows.append(row("candidates", len(some), time.perf_counter() - began))
    for share in (4, 2, 1):
        part = spread(names, max(1, len(names) // share))
        evaluators, seconds = Evaluators([bench.search], bench.resources()), 0.0
        for name in part:
            (evaluator,) = evaluators.at(bench.model, name)
            first = bench.values(name)(bench.start[name].codes)
            evaluator.value(first)
            began = time.perf_counter()
            for _ in range(2):
                evaluator.value(first)
            seconds += time.perf_counter() - began
        rows.append(row("layers", len(part), seconds))
    return rows
