"""Measure what each step of the way from rounding to the emitted codes gives.

Each way starts afresh, and each has the same time. What comes out is judged on test data that
neither selected nor accepted. For each way, a table shows

- the mean squared error of the outputs against the float model's (mse), also relative to that of
  plain reconstruction,
- the divergence of the answers (kl), the share of them that are the float model's (agree), and
  top-1, both in percent,
- and the seconds that it took.

The models are a CIFAR-10 ResNet-20, a ResNet-8 and a keyword spotter; the widths are 3 bits with
one step per tensor, and 2 bits with one step per channel. DIR holds the real models and data.

    python tools/bench_ablation.py --shared DIR
    python tools/bench_ablation.py --shared DIR --only ic_resnet8 --bits 3 --time-budget 30
    python tools/bench_ablation.py --shared DIR --ways nearest --samples 512 --seed 1 --json
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy_cases import CASES
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Data
from onnx_evoq.evolve import FROM_NEAREST, FROM_RECONSTRUCTION, SearchSettings
from onnx_evoq.model import emit_float
from onnx_evoq.pipeline import (
    Placed,
    Start,
    equalize,
    evolve,
    evolved_start,
    from_nearest,
    from_reconstruction,
)
from onnx_evoq.quantize import EFFORTS, FULL, Effort
from onnx_evoq.reconstruct import (
    QuantizedModel,
    correct_outputs,
    equalize_channels,
    reconstruct_layers,
)
from onnx_evoq.report import table
from onnx_evoq.run import Deadline
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    Calibration,
    FloatModel,
    Task,
    bits_of,
    open_float_model,
    prepare_calibration,
    undo_inexact_folding,
)

Draws = np.random.Generator
Found = tuple[QuantizedModel, int]  # a model on its grid, and how many candidates were scored
Way = Callable[[Task, Draws], Found]  # from the float model to that
Step = Callable[[Task, QuantizedModel, Draws], Found]  # from one to a better one


def rounded(settings: SearchSettings | None) -> Way:
    """Round to the nearest; evolve the codes from there, unless the settings are None."""

    def way(task: Task, rng: Draws) -> Found:
        found = from_nearest(task, list(task.bits), settings, rng)
        model, evolved = found.model, found.evolved
        return QuantizedModel(model, evolved.quantized, {}, ()), evolved.evaluations

    return way


def reconstructed(
    *steps: Step,
    effort: Effort = FULL,
    scaled: bool = True,
    judged: bool = True,
    formats: bool = False,
) -> Way:
    """Scale channels, reconstruct layer by layer, and take steps from there.

    The random numbers are those of `from_reconstruction`. With `formats`, these evolve first.
    Unless `judged`, dampings are chosen by halves of the search set in place of the held-out set.
    """

    def way(task: Task, rng: Draws) -> Found:
        start_rng, refine_rng, formats_rng = rng.spawn(3)
        seed, began, given = int(start_rng.integers(2**63)), time.monotonic(), task
        if scaled:
            task, _ = equalize_channels(task, np.random.default_rng(seed))
        alone = task if judged else replace(task, heldout_set=task.search_set)
        now = reconstruct_layers(alone, np.random.default_rng(seed), effort)
        evaluations = 0
        if formats:
            start, seconds = Start(Placed(task, None), now), time.monotonic() - began
            generations = FROM_RECONSTRUCTION.generations
            found = evolved_start(given, None, start, seconds, generations, seed, formats_rng)
            task, now, evaluations = found.start.placed.task, found.start.model, found.built
        for step in steps:
            now, scored = step(task, now, refine_rng)
            evaluations += scored
        return now, evaluations

    return way


def equalization(task: Task, now: QuantizedModel, rng: Draws) -> Found:
    """Scale layers for their grids, and reconstruct again."""
    return equalize(task, now, rng), 0


def output_correction(task: Task, now: QuantizedModel, rng: Draws) -> Found:
    """Choose codes again by what they do to the end of the network."""
    corrected, evaluations, _ = correct_outputs(task, now, rng)
    return corrected, evaluations


def evolution(settings: SearchSettings) -> Step:
    """Evolve the codes, scored at the end of the network."""

    def step(task: Task, now: QuantizedModel, rng: Draws) -> Found:
        evolved = evolve(task, now, settings, rng)
        return replace(now, quantized=evolved.quantized), evolved.evaluations

    return step


def refined(task: Task, rng: Draws) -> Found:
    """Go the whole way of `optimize`."""
    found = from_reconstruction(task, list(task.bits), FROM_RECONSTRUCTION, rng)
    model, evolved = found.model, found.evolved
    return QuantizedModel(model, evolved.quantized, {}, ()), evolved.evaluations


PLAIN = "reconstruct, plain"
WAYS: dict[str, Way] = {
    "nearest": rounded(None),
    "nearest + evolution (the paper)": rounded(FROM_NEAREST),
    PLAIN: reconstructed(effort=replace(FULL, activation_rounds=0)),
    "reconstruct in sight of activations": reconstructed(),
    "... without scaled channels": reconstructed(scaled=False),
    "... dampings chosen by halves": reconstructed(judged=False),
    "... the usual damping": reconstructed(effort=replace(FULL, compared_columns=0)),
    "... without restarts": reconstructed(effort=replace(FULL, restarts=0)),
    "... the short reconstruction": reconstructed(effort=EFFORTS[1]),
    "+ evolved formats": reconstructed(formats=True),
    "+ evolution": reconstructed(evolution(FROM_RECONSTRUCTION)),
    "+ equalization": reconstructed(equalization),
    "+ output correction": reconstructed(output_correction),
    "+ equalization, output correction": reconstructed(equalization, output_correction),
    "all of them": refined,
}
MODELS = ("resnet20", "ic_resnet8", "ds_cnn")
ROWS = ((3, "tensor"), (2, "channel"))


def main() -> None:
    """Measure model by model."""
    parser = arguments(__doc__, "way")
    parser.add_argument(
        "--ways", nargs="+", help="ways whose name holds one of these; plain reconstruction, too"
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
    """The options for models, widths, and the time of each `timed`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of models and data")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--bits", type=int, choices=[2, 3], help="one width")
    parser.add_argument("--samples", type=int, default=1024, help="to calibrate on, at most")
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
        """The task to quantize it within so many seconds from now."""
        return Task(
            self.float_model.model, self.float_model.weights,
            bits_of(self.float_model.weights, bits, {}),
            granularity, "pow2", self.calibration.search_set, self.calibration.heldout_set,
            Deadline(seconds),
        )  # fmt: skip

    def judged(self, found: QuantizedModel) -> onnx_evoq.Evaluation:
        """The scores of what was found, on the test data."""
        return onnx_evoq.evaluate(
            emit_float(found.model, found.quantized), self.test,
            metric="top1", reference=self.float_model.reference,
        )  # fmt: skip


def opened(given: argparse.Namespace, name: str, stack: ExitStack) -> Opened:
    """One of the models, and its data."""
    data, test = CASES[name].data(given.shared, given.samples, stack)
    float_model = open_float_model(given.shared / CASES[name].model, ())
    rng = np.random.default_rng(given.seed)
    calibration = prepare_calibration(float_model.reference, name, data, "auto", 0.25, rng)
    return Opened(
        undo_inexact_folding(float_model, calibration, DEFAULT_RESOURCES), calibration, test
    )


def measured(
    given: argparse.Namespace, name: str, bits: int, granularity: Any
) -> list[dict[str, Any]]:
    """The rows of one model and width."""
    rows = []
    with ExitStack() as stack:
        case = opened(given, name, stack)
        for label, way in WAYS.items():
            if given.ways and label != PLAIN and not any(part in label for part in given.ways):
                continue
            task = case.task(bits, granularity, given.time_budget)
            began = time.monotonic()
            found, evaluations = way(task, np.random.default_rng(given.seed))
            seconds = time.monotonic() - began
            score = case.judged(found)
            rows.append(
                {
                    "model": name, "bits": bits, "granularity": granularity, "way": label,
                    "mse": score.mse, "kl": score.kl, "agreement": score.agreement,
                    "top1": score.value, "seconds": seconds, "evaluations": evaluations,
                }
            )  # fmt: skip
            print(f"{name} {bits} {label}: {score.mse:.4g}", file=sys.stderr, flush=True)
    plain = next(row["mse"] for row in rows if row["way"] == PLAIN)
    return [{**row, "relative": row["mse"] / plain} for row in rows]


if __name__ == "__main__":
    main()
