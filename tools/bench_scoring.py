"""Measure how fast candidates are scored, against the naive way, in one interleaved run.

Ways, all on the same candidates:

1. naive: the model is rebuilt with the candidate, a session made, and all of it run;
2. one session with the weight as an input, the whole model run;
3. this engine: one session behind the cut, all samples;
4. this engine racing: each candidate on as many samples as its fate needs;
5. raw runs of the sessions of 3, with nothing around them.

Then the paper's setting (population 32, 64 iterations) is searched as `optimize` does, on a few
layers or with --paper-layers 0 on all of them, and its time compared with the naive way's, which is
the time of a naive candidate, measured on a few per layer, times the number of candidates.

Without options, on digits_resnet of models/. Candidates are children of the rounded weights, as a
search draws them; for 4 they are the generations of a search that scores all of them in full.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_optimize import MODELS, machine

from onnx_evoq.cli.option_types import BYTES, NUMBERS
from onnx_evoq.data import Data
from onnx_evoq.engine import Evaluators
from onnx_evoq.evolve.layerwise import evolve_layers
from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.model import Model, Weight, input_specs, replace_weights, with_codes
from onnx_evoq.quantize import QuantizedWeight, dequantize
from onnx_evoq.report.tables import table
from onnx_evoq.run import Deadline
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.score.race import DOUBT
from onnx_evoq.search import Neuroevolution, mutate
from onnx_evoq.setup import (
    Resources,
    find_samples,
    model_value,
    nearest_of,
    open_float_model,
    prepare_calibration,
)
from onnx_evoq.setup.scoring_set import ScoringSet

Codes = dict[str, QuantizedWeight]


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


@dataclass(frozen=True)
class Bench:
    """What is measured: a model on its grid, and samples that search, accept and judge."""

    weights: Sequence[Weight]
    model: Model
    start: Codes
    search: ScoringSet
    accept: ScoringSet
    judge: ScoringSet
    given: argparse.Namespace

    def resources(self, **changes: Any) -> Resources:
        """What scoring may use."""
        return Resources(**{"memory": self.given.memory, "workers": self.given.workers, **changes})

    def search_for(self, name: str) -> Neuroevolution:
        """The search that draws the candidates."""
        codes, grid = self.start[name]
        rng, rate = np.random.default_rng(self.given.seed), self.given.mutation_rate
        return Neuroevolution(
            codes, self.given.population, lambda c: mutate(c, rate, grid.low, grid.high, rng)
        )

    def values(self, name: str) -> Callable[[Any], Any]:
        """The weight's values for codes, by its name."""
        return lambda codes: {name: dequantize(codes, self.start[name].grid)}


def spread(names: Sequence[str], count: int | None) -> list[str]:
    """So many of them, evenly spread; all for None."""
    if count is None or count >= len(names):
        return list(names)
    return [names[int((part + 0.5) * len(names) / count)] for part in range(count)]


def measure_ways(bench: Bench, name: str, evaluators: Evaluators, timing: Timing) -> float:
    """Time all ways but the race for one weight; the largest relative difference of scores."""
    (evaluator,), (whole,) = (
        make(bench.model, name) for make in (evaluators.at, evaluators.at_whole_model)
    )
    values_of, search = bench.values(name), bench.search_for(name)
    first = values_of(search.ask()[0])
    search.tell(np.array([evaluator.value(first)]))
    some = [values_of(codes) for codes in search.ask()[: bench.given.naive]]
    for each in (evaluator, whole):
        end_trial(each, some)
    raw = raw_runs(evaluator)
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
            lambda values=values: model_value(replace_weights(bench.model, values), bench.search),
        )
        worst = max(worst, abs(losses.mean() / naive - 1), abs(one / naive - 1))
    return worst


def end_trial(evaluator: Evaluator, some: Sequence[Any]) -> None:
    """Score the first batch until it is clear how the runs share the cores."""
    while evaluator._pool.side_by_side is None:
        evaluator.losses(some, lambda values: values, 0, 1)


def raw_runs(evaluator: Evaluator) -> Callable[[Any], None]:
    """The runs that the engine makes for candidates, without metric and bookkeeping."""
    session = evaluator._session._session
    pool = evaluator._pool._pool if evaluator._pool.side_by_side else None
    feeds = [{name: tensors[name] for name in evaluator._inputs} for tensors in evaluator._tensors]

    def run(candidates: Sequence[Any]) -> None:
        runs = [{**feed, **each} for each in candidates for feed in feeds]
        list((map if pool is None else pool.map)(lambda feed: session.run(None, feed), runs))

    return run


def measure_race(
    bench: Bench, name: str, evaluators: Evaluators, timing: Timing, kept: Kept
) -> None:
    """Time the race and full scoring on the generations of one weight's search."""
    (evaluator,), (other,) = (evaluators.at(bench.model, name) for _ in range(2))
    search, values_of = bench.search_for(name), bench.values(name)
    race = Race(evaluator, bench.given.population, values_of, bench.given.doubt)
    full = Race(other, bench.given.population, values_of, np.inf)
    (first,) = search.ask()
    race.fitness([first])
    search.tell(full.fitness([first]))
    for _ in range(bench.given.generations):
        parents = {codes.tobytes() for codes in search.parents}
        candidates = search.ask()
        raced = timing.measure(
            "race", lambda generation=candidates: race.fitness(generation), len(candidates)
        )
        exact = timing.measure(
            "full", lambda generation=candidates: full.fitness(generation), len(candidates)
        )
        search.tell(exact)
        stay = {codes.tobytes() for codes in search.parents} - parents
        kept.stay += len(search.parents)
        for codes, fitness in zip(candidates, raced, strict=True):
            kept.children += codes.tobytes() in stay
            kept.missed += codes.tobytes() in stay and not np.isfinite(fitness)


def paper_setting(bench: Bench, names: Sequence[str], doubt: float) -> tuple[Codes, float]:
    """Search `names` with the paper's settings; the codes, and the seconds that it took."""
    given = bench.given
    settings = SearchSettings(given.population, given.iterations, given.mutation_rate, doubt)
    rngs = {name: np.random.default_rng([given.seed, k]) for k, name in enumerate(bench.start)}
    began = time.perf_counter()
    evolved = evolve_layers(
        bench.model, bench.start, bench.start, names, bench.search, bench.accept, settings, rngs,
        deadline=Deadline(None), resources=bench.resources(), progress=noted(began),
    )  # fmt: skip
    return evolved.quantized, time.perf_counter() - began


def noted(began: float) -> Callable[[str, float], Any]:
    """Progress as lines on stderr, for long runs into a log."""

    @contextmanager
    def lines(label: str, total: float) -> Any:
        done = 0.0

        def step(amount: float) -> None:
            nonlocal done
            if int(done + amount) > int(done):
                seconds = time.perf_counter() - began
                print(f"{label} {done + amount:.1f} of {total:g}, {seconds:.0f} s", file=sys.stderr)
            done += amount

        yield step

    return lines


def measure_memory(bench: Bench, names: Sequence[str]) -> tuple[bool, float]:
    """Whether a search with little memory finds the same codes; its time over that with more."""
    settings = SearchSettings(bench.given.population, 4, bench.given.mutation_rate)
    found, seconds = [], []
    for memory in (None, bench.given.little_memory):
        began = time.perf_counter()
        evolved = evolve_layers(
            bench.model, bench.start, bench.start, names, bench.search, bench.accept, settings,
            {name: np.random.default_rng(bench.given.seed) for name in names},
            deadline=Deadline(None), resources=bench.resources(memory=memory),
        )  # fmt: skip
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
        (first,) = search.ask()
        for race in races:
            fitness = race.fitness([first])
        search.tell(fitness)
        for _ in range(bench.given.generations):
            candidates = search.ask()
            one, two = (
                timing.measure(way, lambda r=race, c=candidates: r.fitness(c))
                for way, race in zip(("one", "two"), races, strict=True)
            )
            same = same and one.tobytes() == two.tobytes()
            search.tell(one)
    return same, timing.each("two") / timing.each("one")


def growth(bench: Bench, names: Sequence[str]) -> list[list[str]]:
    """Rows: what grows, how much of it, seconds, and seconds for each of it."""
    rows = []
    middle = names[len(names) // 2]
    (evaluator,) = Evaluators([bench.search], bench.resources()).evaluators(bench.model, middle)
    search, values_of = bench.search_for(middle), bench.values(middle)
    search.tell(np.array([evaluator.value(values_of(search.ask()[0]))]))
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


def prepared(given: argparse.Namespace) -> Bench:
    """The model, rounded, and its samples: first those that search, then the others."""
    float_model = open_float_model(given.model, [])
    data = Data(given.data, divide=given.divide, mean=given.mean, std=given.std)
    rng = np.random.default_rng(given.seed)
    there = len(find_samples(input_specs(float_model.reference), data, rng))
    # As many samples as search accept and judge together.
    count = min(given.samples, there // 2)
    data = Data(given.data, samples=2 * count, divide=given.divide, mean=given.mean, std=given.std)
    calibration = prepare_calibration(
        float_model.reference, str(given.model), data, "auto", 0.5, rng
    )
    widths = dict.fromkeys((weight.name for weight in float_model.weights), given.bits)
    start = nearest_of(float_model.weights, widths, "tensor", "pow2")
    accept, judge = halves(calibration.heldout)
    model = with_codes(float_model.model, start)
    return Bench(float_model.weights, model, start, calibration.search, accept, judge, given)


def halves(scoring: ScoringSet) -> tuple[ScoringSet, ScoringSet]:
    """The samples of a set, every other batch in each."""
    target, labels = scoring.target, scoring.target.labels
    assert target.reference is not None
    ends = np.cumsum([batch.count for batch in scoring.batches])
    parts = []
    for first in (0, 1):
        indices = range(first, len(scoring.batches), 2)
        chosen = None
        if labels is not None:
            rows = [labels[ends[p] - scoring.batches[p].count : ends[p]] for p in indices]
            chosen = np.concatenate(rows)
        part = replace(target, reference=[target.reference[p] for p in indices], labels=chosen)
        parts.append(ScoringSet([scoring.batches[p] for p in indices], part))
    return parts[0], parts[1]


def numbers(text: str) -> tuple[float, ...]:
    """A list of numbers, as the command line takes it."""
    return tuple(NUMBERS.convert(text, None, None))


def size(text: str) -> int:
    """A size, as the command line takes it."""
    return int(BYTES.convert(text, None, None))


def arguments(description: str | None) -> argparse.Namespace:
    """What is measured."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=MODELS / "digits_resnet.onnx")
    parser.add_argument("--data", default=str(MODELS / "digits_calib.npz"))
    parser.add_argument("--divide", type=float)
    parser.add_argument("--mean", type=numbers)
    parser.add_argument("--std", type=numbers)
    parser.add_argument(
        "--samples", type=int, default=1024, help="images to search on; half of the data at most"
    )
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--mutation-rate", type=float, default=0.02)
    parser.add_argument("--naive", type=int, default=3, help="naive candidates per layer")
    parser.add_argument("--race-layers", type=int, default=5, help="layers to race on")
    parser.add_argument("--generations", type=int, default=6, help="per layer of these")
    parser.add_argument("--paper-layers", type=int, default=4, help="0 for all")
    parser.add_argument("--iterations", type=int, default=64, help="per layer of these")
    parser.add_argument(
        "--full", action="store_true", help="search these layers with full scoring, too: slow"
    )
    parser.add_argument("--doubt", type=float, default=DOUBT)
    parser.add_argument("--memory", type=size, help="as for optimize")
    parser.add_argument("--little-memory", type=size, default="200MB")
    parser.add_argument("--workers", type=int, help="as for optimize")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="end with one object")
    return parser.parse_args()


def main() -> None:
    """Print the tables and the ratios."""
    given = arguments(__doc__)
    bench = prepared(given)
    names = list(bench.start)
    print(machine())
    print(f"{given.model.name}, {bench.search.samples} images, {len(names)} layers", flush=True)

    timing, kept, worst = Timing(), Kept(), 0.0
    evaluators = Evaluators([bench.search], bench.resources())
    for name in names:
        worst = max(worst, measure_ways(bench, name, evaluators, timing))
    for name in spread(names, given.race_layers):
        measure_race(bench, name, evaluators, timing, kept)
    rows = [
        [way, f"{1000 * timing.each(way):.2f}", f"{timing.each('naive') / timing.each(way):.2f}",
         str(timing.candidates[way])]
        for way in ("naive", "one session", "engine", "race", "raw")
    ]  # fmt: skip
    print(table(["way", "ms per candidate", "naive / way", "candidates"], rows))
    print(f"largest relative difference of scores: {worst:.1e}\n", flush=True)
    print(table(["what grows", "count", "seconds", "ms for each"], growth(bench, names)))

    few = spread(names, 3)
    same_bits, workers_ratio = measure_workers(bench, few)
    print(f"\ntwo workers: {workers_ratio:.3f} of one worker's time, same to the bit: {same_bits}")
    same_codes, memory_ratio = measure_memory(bench, few)
    print(f"little memory: {memory_ratio:.3f} of the time, same codes: {same_codes}", flush=True)

    chosen = spread(names, given.paper_layers or None)
    candidates = len(chosen) * (1 + given.population * given.iterations)
    naive_seconds = timing.each("naive") * candidates
    found, seconds = paper_setting(bench, chosen, given.doubt)
    rows = [["nearest", "", "", f"{judged(bench, bench.start):.4f}"]]
    rows += [["race", f"{seconds:.0f}", f"{naive_seconds / seconds:.1f}",
              f"{judged(bench, found):.4f}"]]  # fmt: skip
    if given.full:
        exact, slow = paper_setting(bench, chosen, np.inf)
        rows += [["full scoring", f"{slow:.0f}", f"{naive_seconds / slow:.1f}",
                  f"{judged(bench, exact):.4f}"]]  # fmt: skip
    print(
        f"\nThe paper's setting on {len(chosen)} of {len(names)} layers, {candidates:,} candidates:"
        f" naive would take {naive_seconds:,.0f} s."
    )
    print(table(["way", "seconds", "naive / way", "error on unseen samples"], rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ratios = {
        "naive_ratio": timing.each("naive") / timing.each("engine"),
        "halving_ratio": timing.each("naive") / timing.each("race"),
        "overhead": timing.each("engine") / timing.each("raw") - 1,
        "kept_right": kept.right,
        "kept_right_children": kept.right_children,
        "paper_setting_ratio": naive_seconds / seconds,
        "paper_setting_layers": len(chosen),
        "workers_ratio": workers_ratio,
        "workers_same": same_bits,
        "memory_ratio": memory_ratio,
        "memory_same": same_codes,
        "peak_mb": peak,
    }
    if given.json:
        print(json.dumps(ratios))
    else:
        for name, value in ratios.items():
            print(f"{name:20} {value:.3f}")


def judged(bench: Bench, codes: Codes) -> float:
    """The metric of a network on samples that neither selected nor accepted."""
    return model_value(with_codes(bench.model, codes), bench.judge)


if __name__ == "__main__":
    main()
