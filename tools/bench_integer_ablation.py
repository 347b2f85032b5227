"""Measure what each step of the way to an integer model gives.

Each way starts afresh, and each has the same time. What comes out is judged on test data that
neither selected nor accepted:

- calibrated: weights are reconstructed in the float model, and activations get the grids of least
  squared error after the fact;
- in sight: weights are reconstructed in sight of the quantized activations;
- + sweep: before, each scale is tried at half and at twice its size by the error at the end;
- + scaled channels: before that, channels are scaled for weights and activations together;
- + evolved formats: what the error of each layer and activation counts for these scales evolves,
  and with it all grids; each candidate is a reconstruction;
- + output correction: after, codes are chosen again by what they do to the end of the network;
- + evolved codes: the codes evolve at last.

DIR holds the real models and data, as bench_accuracy_cases.py says; the models of digits are those
in models/.

    python tools/bench_integer_ablation.py --shared DIR
    python tools/bench_integer_ablation.py --shared DIR --only ic_resnet8 --widths 4/4 --json
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy_cases import CASES
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Data
from onnx_evoq.activations import integer_model, quantize_activations, swept
from onnx_evoq.evolve import FROM_RECONSTRUCTION
from onnx_evoq.model import Model
from onnx_evoq.pipeline import Placed, Start, evolve, evolved_start
from onnx_evoq.reconstruct import correct_outputs, equalize_channels, reconstruct_layers
from onnx_evoq.report import table
from onnx_evoq.run import Deadline
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    Task,
    bits_of,
    open_float_model,
    prepare_calibration,
    undo_inexact_folding,
)

OWN = Path(__file__).parent.parent / "models"
DIGITS = ("digits_depthwise", "digits_transformer")
MODELS = ("resnet20", "ic_resnet8", "ds_cnn", *DIGITS)
WIDTHS = ("4/8", "4/6", "4/4")
WAYS = {
    "calibrated": (),
    "in sight": ("sight",),
    "+ sweep": ("sight", "sweep"),
    "+ scaled channels": ("sight", "sweep", "channels"),
    "+ evolved formats": ("sight", "sweep", "channels", "formats"),
    "+ output correction": ("sight", "sweep", "channels", "formats", "correction"),
    "+ evolved codes": ("sight", "sweep", "channels", "formats", "correction", "codes"),
}


@dataclass(frozen=True)
class Opened:
    """A model ready to be quantized, and the data that judge what comes out."""

    reference: Path
    task: Task
    test: Data


def main() -> None:
    """Print a table for each model and pair of widths, or its rows as JSON with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of real models and data")
    parser.add_argument("--only", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--widths", nargs="+", default=WIDTHS, metavar="W/A")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--time-budget", type=float, default=60.0, help="seconds of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object per row")
    given = parser.parse_args()
    print(machine(), file=sys.stderr if given.json else sys.stdout)
    for name in given.only:
        for widths in given.widths:
            rows = []
            for row in rows_of(given, name, widths):
                rows.append(row)
                print(f"{name} W/A {widths}: {row['way']}: {row['mse']:.4g}", file=sys.stderr)
                if given.json:
                    print(json.dumps(row), flush=True)
            if not given.json:
                header = [f"{name}, W/A {widths}", "mse", "same", "top1", "s"]
                print(f"\n{table(header, [cells(row) for row in rows])}", flush=True)


def rows_of(given: argparse.Namespace, name: str, widths: str) -> Iterator[dict[str, Any]]:
    """The rows of one model and pair of widths."""
    weight_bits, activation_bits = (int(part) for part in widths.split("/"))
    with ExitStack() as stack:
        case = opened(given, name, weight_bits, activation_bits, stack)
        for label in given.ways:
            began = time.monotonic()
            task = replace(case.task, deadline=Deadline(given.time_budget))
            model = made(task, WAYS[label], given.seed)
            seconds = time.monotonic() - began
            score = onnx_evoq.evaluate(model, case.test, metric="top1", reference=case.reference)
            yield {
                "model": name, "widths": widths, "way": label, "mse": score.mse,
                "same": score.agreement, "top1": score.value, "seconds": seconds,
            }  # fmt: skip


def opened(
    given: argparse.Namespace, name: str, bits: int, activation_bits: int, stack: ExitStack
) -> Opened:
    """One of the models, and its data."""
    if name in DIGITS:
        path = OWN / f"{name}.onnx"
        with np.load(OWN / "digits_calib.npz") as arrays:
            data = Data({"x": arrays["x"]}, samples=given.samples)
        test = Data(OWN / "digits_test.npz")
    else:
        path = given.shared / CASES[name].model
        data, test = CASES[name].data(given.shared, given.samples, stack)
    float_model = open_float_model(path, ())
    rng = np.random.default_rng(given.seed)
    calibration = prepare_calibration(float_model.reference, name, data, "auto", 0.25, rng)
    float_model = undo_inexact_folding(float_model, calibration, DEFAULT_RESOURCES)
    task = Task(
        float_model.model, float_model.weights, bits_of(float_model.weights, bits, {}), "tensor",
        "pow2", calibration.search_set, calibration.heldout_set, Deadline(None),
        seconds=calibration.seconds, few=calibration.few, activation_bits=activation_bits,
    )  # fmt: skip
    return Opened(path, task, test)


def made(task: Task, parts: tuple[str, ...], seed: int) -> Model:
    """The integer model of one way, by the names of its parts."""
    rng = np.random.default_rng(seed)
    bits = task.activation_bits
    assert bits is not None
    plain = activations = quantize_activations(task, bits)
    if "sight" not in parts:
        found = reconstruct_layers(task, rng, details=False)
        return integer_model(activations, found.model, found.quantized)
    given, factors = task, dict.fromkeys(plain.grids, 1.0)
    if "channels" in parts:
        task, scales = equalize_channels(task, np.random.default_rng(seed), activations)
        activations = quantize_activations(task, bits).with_scales(scales)
    if "sweep" in parts:
        suiting, activations = activations, swept(task, activations, task.deadline)
        factors = activations.factors_from(suiting)
    began, placed = time.monotonic(), Placed(task, activations, factors)
    start = Start(placed, placed.reconstructed(task.bits, seed, task.deadline))
    if "formats" in parts:
        seconds, generations = time.monotonic() - began, FROM_RECONSTRUCTION.generations
        start = evolved_start(given, plain, start, seconds, generations, seed, rng).start
    simulated, found = start.placed.simulated, start.model
    if "correction" in parts:
        found, _, _ = correct_outputs(simulated, found, rng)
    quantized = found.quantized
    if "codes" in parts:
        quantized = dict(evolve(simulated, found, FROM_RECONSTRUCTION, rng).quantized)
    assert start.placed.activations is not None
    return integer_model(start.placed.activations, found.model, quantized)


def cells(row: dict[str, Any]) -> list[str]:
    """The row as text."""
    return [
        row["way"], f"{row['mse']:.3g}", f"{100 * row['same']:.2f}", f"{100 * row['top1']:.2f}",
        f"{row['seconds']:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
