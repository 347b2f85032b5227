"""Measure what each part of the way from rounding to the emitted codes gives.

The same time for each way that searches. Errors are judged on test data that neither selected nor
accepted: the mean squared error of the outputs against the float model's, relative to that of plain
reconstruction, and the divergence (kl) of the answers.

    python tools/bench_ablation.py --shared DIR [--only NAME ..] [--time-budget SECONDS]
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy import CASES
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Data
from onnx_evoq.evolve import FROM_NEAREST, FROM_RECONSTRUCTION
from onnx_evoq.model import with_codes
from onnx_evoq.pipeline.refine import Parts
from onnx_evoq.pipeline.fine_tuning import FineTuned, from_nearest, from_reconstruction
from onnx_evoq.report.tables import table
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, bits_of, fold_if_exact, open_float_model, prepare_calibration
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.float_model import FloatModel

PLAIN = "reconstruct, plain"
NONE = Parts(equalize_layers=False, correct_codes=False, evolve=False)
WAYS: dict[str, Parts | None] = {
    "nearest": None,
    "nearest + evolution (the paper)": None,
    PLAIN: replace(NONE, behind=False),
    "reconstruct in sight of activations": NONE,
    "+ evolution, moves drawn evenly": Parts(
        equalize_layers=False, correct_codes=False, by_cost=False
    ),
    "+ evolution, moves drawn by cost": Parts(equalize_layers=False, correct_codes=False),
    "+ scaled layers": Parts(correct_codes=False, evolve=False),
    "+ steering": Parts(equalize_layers=False, evolve=False),
    "+ scaled layers, steering": Parts(evolve=False),
    "all of them": Parts(),
}
MODELS = ("resnet20", "ic_resnet8", "ds_cnn")
ROWS = ((3, "tensor"), (2, "channel"))


def main() -> None:
    """Measure model by model."""
    parser = arguments(__doc__.split("\n")[0], "way")
    parser.add_argument(
        "--ways", nargs="+", help="ways whose name holds one; plain reconstruction is there"
    )
    given = parser.parse_args()
    print(machine(), file=sys.stderr if given.json else sys.stdout, flush=True)
    for name in given.only:
        for bits, granularity in ROWS:
            if given.bits in (None, bits):
                rows = measured(given, name, bits, granularity)
                if given.json:
                    print("\n".join(json.dumps(row) for row in rows), flush=True)
                else:
                    print(f"\n{name}, {bits} bits per {granularity}")
                    print(table(["way", "mse", "relative", "kl", "agree", "top1", "s"], [
                        [
                            row["way"], f"{row['mse']:.4g}", f"{row['relative']:.3f}",
                            f"{row['kl']:.4f}", f"{100 * row['agreement']:.2f}",
                            f"{100 * row['top1']:.2f}", f"{row['seconds']:.0f}",
                        ]
                        for row in rows
                    ]), flush=True)  # fmt: skip


def arguments(description: str, timed: str) -> argparse.ArgumentParser:
    """What can be chosen of models and widths, and how long each of what is timed takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shared", type=Path, required=True, help="folder of models and data")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--bits", type=int, choices=[2, 3], help="one width")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--time-budget", type=float, default=60.0, help=f"seconds of each {timed}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object per row")
    return parser


@dataclass(frozen=True)
class Opened:
    """A model, what scores it, and the data that judge what comes out."""

    float_model: FloatModel
    calibration: Calibration
    test: Data

    def task(self, bits: int, granularity: Any, seconds: float) -> Task:
        """Quantize it within so many seconds from now."""
        return Task(
            self.float_model.model, self.float_model.weights,
            bits_of(self.float_model.weights, bits, {}),
            granularity, "pow2", self.calibration.search, self.calibration.heldout,
            Deadline(seconds),
        )  # fmt: skip

    def judged(self, found: FineTuned) -> onnx_evoq.Evaluation:
        """What was found, on the test data."""
        model = with_codes(found.model, found.evolved.quantized)
        return onnx_evoq.evaluate(
            model, self.test, metric="top1", reference=self.float_model.reference
        )


def opened(given: argparse.Namespace, name: str, stack: ExitStack) -> Opened:
    """One of the models, and its data."""
    calibration, test = CASES[name].data(given.shared, given.samples, stack)
    float_model = open_float_model(given.shared / CASES[name].model, ())
    rng = np.random.default_rng(given.seed)
    calibration = prepare_calibration(float_model.reference, name, calibration, "auto", 0.25, rng)
    return Opened(fold_if_exact(float_model, calibration, None), calibration, test)


def measured(
    given: argparse.Namespace, name: str, bits: int, granularity: Any
) -> list[dict[str, Any]]:
    """The rows of one model and width."""
    rows = []
    with ExitStack() as stack:
        case = opened(given, name, stack)
        for way, parts in WAYS.items():
            if given.ways and way != PLAIN and not any(w in way for w in given.ways):
                continue
            task = case.task(bits, granularity, given.time_budget)
            order, draws = [w.name for w in task.weights], np.random.default_rng(given.seed)
            began = time.monotonic()
            if parts is None:
                settings = None if way == "nearest" else FROM_NEAREST
                found = from_nearest(task, order, settings, draws)
            else:
                searches = parts.equalize_layers or parts.correct_codes or parts.evolve
                still = FROM_RECONSTRUCTION if searches else None
                found = from_reconstruction(task, order, still, draws, parts)
            seconds = time.monotonic() - began
            score = case.judged(found)
            rows.append(
                {
                    "model": name, "bits": bits, "granularity": granularity, "way": way,
                    "mse": score.mse, "kl": score.kl, "agreement": score.agreement,
                    "top1": score.value, "seconds": seconds,
                    "evaluations": found.evolved.evaluations,
                }
            )  # fmt: skip
            print(f"{name} {bits} {way}: {score.mse:.4g}", file=sys.stderr, flush=True)
    plain = next(row["mse"] for row in rows if row["way"] == PLAIN)
    return [{**row, "relative": row["mse"] / plain} for row in rows]


if __name__ == "__main__":
    main()
