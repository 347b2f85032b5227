"""Measure `optimize`: float, nearest and evolved on test data that the search never sees.

The first lines state versions, machine and settings. A table follows: top-1 of the three in
percent, where outputs are classes; the mean squared error of the outputs against the float model's
of nearest and of evolved; the seconds, and the candidates that were scored. The models are those of
models/, at 6, 4 and 3 bits. With --shared, a CIFAR-10 ResNet-20 at 8, 6 and 4 bits comes on top:
DIR/cifar10/ holds resnet20.onnx, calib.npz and test.npz.

    python tools/bench_optimize.py
    python tools/bench_optimize.py --only resnet --bits 4 --granularity channel --seed 1 --json
    python tools/bench_optimize.py --init nearest --population 32 --generations 64 \\
        --mutation-rate 0.02
    python tools/bench_optimize.py --shared DIR --only cifar --samples 1024 --time-budget 100
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx_evoq
from onnx_evoq import Data, Grid, Strategy
from onnx_evoq.report import table

MODELS = Path(__file__).parent.parent / "models"


@dataclass(frozen=True)
class Case:
    """A model, where it is calibrated and where it is tested, and what is measured."""

    name: str
    model: Path
    calibration: Data
    test: Data
    metric: str
    bits: tuple[int, ...]


def own_cases() -> Iterator[Case]:
    """The models that this project ships."""
    for model in sorted(MODELS.glob("digits_*.onnx")):
        metric = "mse" if "autoencoder" in model.stem else "top1"
        calibration, test = Data(MODELS / "digits_calib.npz"), Data(MODELS / "digits_test.npz")
        yield Case(model.stem.removeprefix("digits_"), model, calibration, test, metric, (6, 4, 3))


def shared_cases(shared: Path, samples: int) -> Iterator[Case]:
    """Models that lie outside the project."""
    folder = shared / "cifar10"
    steps: dict[str, Any] = {
        "divide": 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
    }  # fmt: skip
    yield Case(
        "cifar resnet20",
        folder / "resnet20.onnx",
        Data(folder / "calib.npz", samples=samples, **steps),
        Data(folder / "test.npz", **steps),
        "top1",
        (8, 6, 4),
    )


def measure(case: Case, bits: int, given: argparse.Namespace) -> dict[str, Any]:
    """One row: the emitted files of both ways, evaluated on the test data."""
    strategies = {
        "nearest": Strategy("none", init="nearest"),
        "evolved": Strategy(
            init=given.init,
            population=given.population,
            generations=given.generations,
            mutation_rate=given.mutation_rate,
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {"float": case.model}
        for name, strategy in strategies.items():
            result = onnx_evoq.optimize(
                case.model,
                case.calibration,
                bits=bits,
                grid=Grid(granularity=given.granularity),
                strategy=strategy,
                time_budget=given.time_budget,
                seed=given.seed,
            )
            files[name] = Path(folder) / f"{name}.onnx"
            result.save(files[name])
        scores = {
            name: onnx_evoq.evaluate(file, case.test, metric=case.metric, reference=case.model)
            for name, file in files.items()
        }
    return {
        "model": case.name,
        "bits": bits,
        "granularity": given.granularity,
        "metric": case.metric,
        **{name: score.value for name, score in scores.items()},
        "nearest_kl": scores["nearest"].kl,
        "evolved_kl": scores["evolved"].kl,
        "nearest_mse": scores["nearest"].mse,
        "evolved_mse": scores["evolved"].mse,
        "evolved_agreement": scores["evolved"].agreement,
        "seconds": result.seconds,
        "evaluations": result.evaluations,
        "stopped": result.stopped,
    }


def shown(row: dict[str, Any]) -> list[str]:
    """A row as text."""
    share = row["metric"] == "top1"
    values = [
        f"{100 * row[name]:.2f}" if share else "-" for name in ("float", "nearest", "evolved")
    ]
    errors = [f"{row[name]:.3g}" for name in ("nearest_mse", "evolved_mse")]
    end = [f"{row['seconds']:.0f}", str(row["evaluations"])]
    return [row["model"], str(row["bits"]), *values, *errors, *end]


def machine() -> str:
    """Versions and machine, for the head of the table."""
    packages = " ".join(f"{p} {version(p)}" for p in ("onnx-evoq", "onnx", "onnxruntime", "numpy"))
    processor = platform.machine()
    return f"{packages}\nPython {platform.python_version()}, {os.cpu_count()} cores {processor}"


def main() -> None:
    """Print the table, row by row as JSON with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, help="folder with real models and data")
    parser.add_argument("--only", help="cases whose name holds this")
    parser.add_argument("--bits", type=int, action="append", help="widths instead of the usual")
    parser.add_argument("--granularity", choices=["tensor", "channel"], default="tensor")
    parser.add_argument("--samples", type=int, default=512, help="calibration samples")
    parser.add_argument("--init", choices=["reconstruct", "nearest"], default="reconstruct")
    parser.add_argument("--population", type=int, help="as for optimize, as are the next two")
    parser.add_argument("--generations", type=int)
    parser.add_argument("--mutation-rate", type=float)
    parser.add_argument("--time-budget", type=float, default=240.0, help="seconds per model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object per row")
    given = parser.parse_args()
    cases = list(own_cases())
    if given.shared is not None:
        cases += shared_cases(given.shared, given.samples)
    settings = {
        name: getattr(given, name)
        for name in (
            "init", "granularity", "population", "generations", "mutation_rate", "time_budget",
            "seed",
        )
    }  # fmt: skip
    rows = []
    for case in cases:
        if given.only is None or given.only in case.name:
            for bits in given.bits or case.bits:
                rows.append(measure(case, bits, given))
                if given.json:
                    print(json.dumps(rows[-1]), flush=True)
    if not given.json:
        print(f"{machine()}\nsettings {settings}")
        header = [
            "model", "bits", "float", "nearest", "evolved", "mse near", "evolved", "s", "scored",
        ]  # fmt: skip
        print(table(header, [shown(row) for row in rows]))


if __name__ == "__main__":
    main()
