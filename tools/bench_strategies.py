"""Measure layer-wise evolution against coevolution of all weights, in the same time.

Both start from nearest rounding, from a reconstruction alone, and from one with equalization and
output correction. What comes out is judged on test data that neither selected nor accepted. For
each start and each strategy, a table shows

- the mean squared error of the outputs against the float model's (mse), also relative to that of
  the start,
- the divergence of the answers (kl), and the share of them that are the float model's in percent
  (agree),
- the candidates that were scored, and the seconds that it took, those of the start included.

Models, widths and DIR are those of bench_ablation.py.

    python tools/bench_strategies.py --shared DIR
    python tools/bench_strategies.py --shared DIR --only ds_cnn --bits 3 --time-budget 30
    python tools/bench_strategies.py --shared DIR --starts nearest --samples 512 --seed 1 --json
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from typing import Any

import numpy as np
from bench_ablation import (
    ROWS,
    Way,
    arguments,
    equalization,
    evolution,
    opened,
    output_correction,
    reconstructed,
    rounded,
)
from bench_optimize import machine

from onnx_evoq.evolve import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
)
from onnx_evoq.report import table

STARTS = {"nearest": (), "reconstruct": (), "corrected": (equalization, output_correction)}
STRATEGIES = ("none", "layer-wise", "coevolution")


def main() -> None:
    """Measure model by model."""
    parser = arguments(__doc__, "search")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    given = parser.parse_args()
    print(machine(), file=sys.stderr if given.json else sys.stdout, flush=True)
    for name in given.only:
        for bits, granularity in ROWS:
            if given.bits not in (None, bits):
                continue
            rows = measured(given, name, bits, granularity)
            if given.json:
                print("\n".join(json.dumps(row) for row in rows), flush=True)
                continue
            print(f"\n{name}, {bits} bits per {granularity}")
            heads = ["start", "strategy", "mse", "relative", "kl", "agree", "scored", "s"]
            print(table(heads, [
                [
                    row["start"], row["strategy"], f"{row['mse']:.4g}", f"{row['relative']:.3f}",
                    f"{row['kl']:.4f}", f"{100 * row['agreement']:.2f}",
                    f"{row['evaluations']:,}", f"{row['seconds']:.0f}",
                ]
                for row in rows
            ], 2), flush=True)  # fmt: skip


def measured(
    given: argparse.Namespace, name: str, bits: int, granularity: Any
) -> list[dict[str, Any]]:
    """The rows of one model and width."""
    rows = []
    with ExitStack() as stack:
        case = opened(given, name, stack)
        for start in given.starts:
            before: Any = float("nan")
            for strategy in STRATEGIES:
                task = case.task(bits, granularity, given.time_budget)
                began = time.monotonic()
                way = way_of(start, strategy)
                found, evaluations = way(task, np.random.default_rng(given.seed))
                seconds = time.monotonic() - began
                score = case.judged(found)
                before = score.mse if strategy == "none" else before
                rows.append(
                    {
                        "model": name, "bits": bits, "granularity": granularity, "start": start,
                        "strategy": strategy, "mse": score.mse, "relative": score.mse / before,
                        "kl": score.kl, "agreement": score.agreement, "top1": score.value,
                        "evaluations": evaluations, "seconds": seconds,
                    }
                )  # fmt: skip
                print(f"{name} {bits} {start} {strategy}: {score.mse:.4g}", file=sys.stderr)
    return rows


def way_of(start: str, strategy: str) -> Way:
    """A start, and the search from there; the start takes its time from the search."""
    together = strategy == "coevolution"
    if start == "nearest":
        settings = TOGETHER_FROM_NEAREST if together else FROM_NEAREST
        return rounded(None if strategy == "none" else settings)
    if strategy == "none":
        return reconstructed(*STARTS[start])
    settings = TOGETHER_FROM_RECONSTRUCTION if together else FROM_RECONSTRUCTION
    return reconstructed(*STARTS[start], evolution(settings))


if __name__ == "__main__":
    main()
