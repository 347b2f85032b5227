"""Measure how fast candidates are scored, against the naive way, in one interleaved run.

Ways, all on the same candidates:

1. naive: the model is rebuilt with the candidate, a session made, and all of it run;
2. one session with the weight as an input, the whole model run;
3. the engine: one session behind the cut, all samples;
4. the engine racing: each candidate on as many samples as its fate needs;
5. raw: plain runs of ONNX Runtime behind the cut, with nothing around them.

A table shows the milliseconds per candidate of each way, and the naive way's time over it. Another
shows how the time grows with images, candidates and layers. Then come two workers against one, and
little memory against more. Last, the paper's setting (population 32, 64 iterations) is searched as
`optimize` does, on a few layers or with --paper-layers 0 on all of them. Its time is compared with
the naive way's, which is the time of a naive candidate, measured on a few per layer, times the
number of candidates. The run ends with the ratios, or with --json as one object.

Candidates are children of the rounded weights, as a search draws them; for 4 they are the
generations of a search that scores all of them in full. Without options, the model is
digits_resnet of models/.

    python tools/bench_scoring.py
    python tools/bench_scoring.py --paper-layers 0 --full --seed 1
    python tools/bench_scoring.py --model resnet20.onnx --data calib.npz --divide 255 \\
        --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --paper-layers 3 --race-layers 2
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from bench_optimize import machine
from bench_scoring_case import Bench, Codes, arguments, prepared, spread
from bench_scoring_ways import (
    Kept,
    Timing,
    WayTimer,
    growth,
    measure_memory,
    measure_race,
    measure_workers,
    started,
)

from onnx_evoq.engine import Evaluators
from onnx_evoq.evolve import SearchSettings, evolve_layers
from onnx_evoq.report import table


def main() -> None:
    """Print the tables and the ratios."""
    given = arguments(__doc__)
    bench = prepared(given)
    names = list(bench.start)
    print(machine())
    print(f"{given.model.name}, {bench.search.samples} images, {len(names)} layers", flush=True)

    timing, kept, worst = Timing(), Kept(), 0.0
    timer = WayTimer(bench, timing)
    for name in names:
        worst = max(worst, timer.measure(name))
    evaluators = Evaluators([bench.search], bench.resources())
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
    rows = [["nearest", "", "", f"{bench.judged(bench.start):.4f}"]]
    rows += [["race", f"{seconds:.0f}", f"{naive_seconds / seconds:.1f}",
              f"{bench.judged(found):.4f}"]]  # fmt: skip
    if given.full:
        exact, slow = paper_setting(bench, chosen, np.inf)
        rows += [["full scoring", f"{slow:.0f}", f"{naive_seconds / slow:.1f}",
                  f"{bench.judged(exact):.4f}"]]  # fmt: skip
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


def paper_setting(bench: Bench, names: Sequence[str], doubt: float) -> tuple[Codes, float]:
    """Search `names` with the paper's settings; the codes, and the seconds that it took."""
    given = bench.given
    settings = SearchSettings(given.population, given.iterations, given.mutation_rate, doubt)
    rngs = {name: np.random.default_rng([given.seed, k]) for k, name in enumerate(bench.start)}
    began = time.perf_counter()
    task = bench.task(bench.resources(), noted(began))
    draws = {name: rngs[name] for name in names}
    evolved = evolve_layers(task, started(bench), settings, draws)
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


if __name__ == "__main__":
    main()
