"""Measure layer-wise evolution against coevolution of all weights, in the same time.

From nearest rounding, from a reconstruction alone, and from one that was scaled and steered. Errors
are judged on test data that neither selected nor accepted: the mean squared error of the outputs
against the float model's, relative to that of the start, the divergence (kl) of the answers, and
the share of answers that are the float model's.

    python tools/bench_strategies.py --shared DIR [--only NAME ..] [--time-budget SECONDS]
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from bench_ablation import ROWS, arguments, opened
from bench_optimize import machine

from onnx_evoq.evolve import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
)
from onnx_evoq.pipeline.refine import Parts
from onnx_evoq.pipeline.fine_tuning import from_nearest, from_reconstruction
from onnx_evoq.report.tables import table
from onnx_evoq.setup import Task

STARTS: dict[str, Parts | None] = {
    "nearest": None,
    "reconstruct": Parts(equalize_layers=False, correct_codes=False),
    "scaled and steered": Parts(),
}
STRATEGIES = ("none", "layer-wise", "coevolution")


def main() -> None:
    """Measure model by model."""
    parser = arguments(__doc__.split("\n")[0], "search")
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
            ]), flush=True)  # fmt: skip


def measured(
    given: argparse.Namespace, name: str, bits: int, granularity: Any
) -> list[dict[str, Any]]:
    """The rows of one model and width."""
    rows = []
    with ExitStack() as stack:
        case = opened(given, name, stack)
        for start in given.starts:
            before = float("nan")
            for strategy in STRATEGIES:
                task = case.task(bits, granularity, given.time_budget)
                began = time.monotonic()
                found = searched(task, STARTS[start], strategy, given.seed)
                seconds = time.monotonic() - began
                score = case.judged(found)
                before = score.mse if strategy == "none" else before
                rows.append(
                    {
                        "model": name, "bits": bits, "granularity": granularity, "start": start,
                        "strategy": strategy, "mse": score.mse, "relative": score.mse / before,
                        "kl": score.kl, "agreement": score.agreement, "top1": score.value,
                        "evaluations": found.evolved.evaluations, "seconds": seconds,
                    }
                )  # fmt: skip
                print(f"{name} {bits} {start} {strategy}: {score.mse:.4g}", file=sys.stderr)
    return rows


def searched(task: Task, parts: Parts | None, strategy: str, seed: int) -> Any:
    """What a strategy finds from a start: what came before it takes its time, too."""
    order, rng = [weight.name for weight in task.weights], np.random.default_rng(seed)
    together = strategy == "coevolution"
    if parts is None:
        still = None if strategy == "none" else FROM_NEAREST
        return from_nearest(task, order, TOGETHER_FROM_NEAREST if together else still, rng)
    settings = TOGETHER_FROM_RECONSTRUCTION if together else FROM_RECONSTRUCTION
    return from_reconstruction(
        task, order, settings, rng, replace(parts, evolve=strategy != "none")
    )


if __name__ == "__main__":
    main()
