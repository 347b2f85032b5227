"""Measure how fast candidates are scored, against the naive way, in one interleaved run.

Ways, all on the same candidates:

1. naive: the model is rebuilt with the candidate, a session made, and all of it run;
2. one session with the weight as an input, the whole model run;
3. one session behind the cut, all samples;
4. the same, giving up early on hopeless candidates;
5. raw runs of the sessions of 3, with nothing around them.

Without options, on digits_resnet of models/. Candidates are children of the rounded weights, as a
search draws them; for 4 they are the generations of a search that scores all of them in full.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench_optimize import MODELS, machine

from onnx_evoq.cli_types import NUMBERS
from onnx_evoq.data import Data
from onnx_evoq.model import Model, replace_weights, uncut, with_codes
from onnx_evoq.quantize import dequantize
from onnx_evoq.report.tables import table
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.score.race import DOUBT
from onnx_evoq.search import Neuroevolution
from onnx_evoq.stages import grids_for, model_value, nearest_codes, open_subject, prepare
from onnx_evoq.stages.scoring import ScoringSet, evaluators_behind, layer_evaluators


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
    """How many of the candidates that full scoring keeps the race keeps too."""

    right: int = 0
    wanted: int = 0


def measure_layer(
    model: Model,
    name: str,
    start: Any,
    scoring: ScoringSet,
    settings: argparse.Namespace,
    timing: Timing,
    kept: Kept,
) -> float:
    """Time all ways for one weight; the largest relative difference of their scores."""
    rng = np.random.default_rng(settings.seed)
    codes, grid = start
    (engine,) = layer_evaluators(model, name, [scoring])
    nothing = [{} for _ in scoring.batches]
    (whole,) = evaluators_behind(model, uncut(model, name), nothing, [scoring])
    raw = raw_runs(engine)
    search = Neuroevolution(
        codes, low=grid.low, high=grid.high, population=settings.population,
        mutation_rate=settings.mutation_rate, rng=rng,
    )  # fmt: skip
    race = Race(engine, settings.population, settings.doubt)
    first = dequantize(codes, grid)
    engine.value(first), whole.value(first), raw(first)  # warm
    race.fitness([first])
    search.ask()
    search.tell(np.array([engine.metric.fitness(engine.value(first))]))
    worst = 0.0
    for generation in range(settings.generations):
        parents = {codes.tobytes() for codes in search.parents}
        candidates = search.ask()
        full = []
        for place, candidate in enumerate(candidates):
            values = dequantize(candidate, grid)
            value = timing.measure("engine", lambda values=values: engine.value(values))
            full.append(engine.metric.fitness(value))
            if generation == 0 and place < settings.naive:
                timing.measure("raw", lambda values=values: raw(values))
                timing.measure("engine beside raw", lambda values=values: engine.value(values))
                one = timing.measure("one session", lambda values=values: whole.value(values))
                naive = timing.measure(
                    "naive",
                    lambda values=values: model_value(
                        replace_weights(model, {name: values}), scoring
                    ),
                )
                worst = max(worst, abs(value - naive) / naive, abs(one - naive) / naive)
        raced = timing.measure(
            "race",
            lambda candidates=candidates: race.fitness([dequantize(c, grid) for c in candidates]),
            len(candidates),
        )
        search.tell(np.array(full))
        stay = {codes.tobytes() for codes in search.parents} - parents
        for candidate, fitness in zip(candidates, raced, strict=True):
            if candidate.tobytes() in stay:
                kept.wanted += 1
                kept.right += bool(np.isfinite(fitness))
    return worst


def raw_runs(engine: Evaluator) -> Callable[[Any], None]:
    """The runs that the engine makes, without metric and bookkeeping."""
    session = engine._session._session

    def run(values: Any) -> None:
        for tensors in engine._tensors:
            session.run(None, engine.feed(values, tensors))

    return run


def numbers(text: str) -> tuple[float, ...]:
    """A list of numbers, as the command line takes it."""
    return tuple(NUMBERS.convert(text, None, None))


def main() -> None:
    """Print the table and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=MODELS / "digits_resnet.onnx")
    parser.add_argument("--data", default=str(MODELS / "digits_calib.npz"))
    parser.add_argument("--divide", type=float)
    parser.add_argument("--mean", type=numbers)
    parser.add_argument("--std", type=numbers)
    parser.add_argument("--samples", type=int, help="images, all of them to search on")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--layers", type=int, help="measure so many layers, evenly spread")
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--generations", type=int, default=2, help="per layer")
    parser.add_argument("--mutation-rate", type=float, default=0.02)
    parser.add_argument("--naive", type=int, default=2, help="naive candidates per layer")
    parser.add_argument("--doubt", type=float, default=DOUBT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="end with one object")
    given = parser.parse_args()

    subject = open_subject(given.model, [])
    data = Data(
        given.data, samples=given.samples, divide=given.divide, mean=given.mean, std=given.std
    )
    rng = np.random.default_rng(given.seed)
    experiment = prepare(subject.reference, str(given.model), data, "auto", None, rng)
    widths = dict.fromkeys((weight.name for weight in subject.weights), given.bits)
    start = nearest_codes(subject.weights, grids_for(subject.weights, widths, "tensor", "pow2"))
    model = with_codes(subject.model, start)
    names = list(start)
    if given.layers is not None:
        places = np.linspace(0, len(names) - 1, given.layers).round().astype(int)
        names = [names[place] for place in places]
    timing, kept, worst = Timing(), Kept(), 0.0
    for name in names:
        worst = max(
            worst, measure_layer(model, name, start[name], experiment.search, given, timing, kept)
        )
    print(machine())
    print(f"{given.model.name}, {experiment.search.samples} images, {len(names)} layers")
    rows = [
        [way, f"{1000 * timing.each(way):.2f}", f"{timing.each('naive') / timing.each(way):.2f}",
         str(timing.candidates[way])]
        for way in ("naive", "one session", "engine", "race", "raw")
    ]  # fmt: skip
    print(table(["way", "ms per candidate", "naive / way", "candidates"], rows))
    print(f"largest relative difference of scores: {worst:.1e}")
    ratios = {
        "naive_ratio": timing.each("naive") / timing.each("engine"),
        "halving_ratio": timing.each("naive") / timing.each("race"),
        "overhead": timing.each("engine beside raw") / timing.each("raw") - 1,
        "kept_right": kept.right / max(kept.wanted, 1),
    }
    if given.json:
        print(json.dumps(ratios))
    else:
        print("  ".join(f"{name} {value:.3f}" for name, value in ratios.items()))


if __name__ == "__main__":
    main()
