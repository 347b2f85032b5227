"""Measure what `optimize` keeps of real models: float, nearest, reconstruct and evolved.

All three are fitted to images without labels and judged on test data that they never see. Top-1
in percent; for squeezenet1_1 the answers that are the float model's, in percent; for nanodet_320
the mAP of examples/detection.py. Each row runs in a process of its own, whose peak memory (of the
optimizing, before the test data are read) and whose end it states: a row that fails is told on
stderr, the others go on, and the exit code is 1.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Data, Evaluation
from onnx_evoq.report.tables import table

DETECTION = Path(__file__).parent.parent / "examples" / "detection.py"

STEPS: dict[str, Any] = {
    "divide": 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
}  # fmt: skip

WAYS: Mapping[str, dict[str, Any]] = {
    "nearest": {"init": "nearest", "strategy": "none"},
    "reconstruct": {"init": "reconstruct", "strategy": "none"},
    "evolved": {},
}

Feeds = Callable[[Path, int, ExitStack], tuple[Data, Data]]


@dataclass(frozen=True)
class Case:
    """A model and how it is measured.

    Attributes:
        model: its file, in the folder of real models and data.
        data: gives its calibration and test data, of that folder.
        metric: "top1", "agreement" with the float model, or a function of the user's.
        rows: bits -> granularity.
    """

    model: str
    data: Feeds
    metric: str
    rows: Mapping[int, str]


def unlabelled(file: Path, samples: int, **steps: Any) -> Data:
    """The first samples of an .npz file, without their labels."""
    with np.load(file) as arrays:
        return Data({"x": arrays["x"][:samples]}, **steps)


def cifar(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """CIFAR-10 images, scaled."""
    folder = shared / "cifar10"
    calibration = unlabelled(folder / "calib.npz", samples, **STEPS)
    return calibration, Data(folder / "test.npz", **STEPS)


def raw_cifar(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """The same, 0 to 255."""
    folder = shared / "cifar10"
    return unlabelled(folder / "calib.npz", samples), Data(folder / "test.npz")


def keywords(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """Spectra of spoken words."""
    folder = shared / "keyword_spotting"
    return unlabelled(folder / "calib.npz", samples), Data(folder / "test.npz")


def imagenet(shared: Path, samples: int, stack: ExitStack) -> tuple[Data, Data]:
    """One image per class; those to calibrate on are linked into a folder without labels."""
    folder = shared / "imagenet_sample"
    labels, images = folder / "labels.csv", folder / "images"
    rows = [line.split(",") for line in labels.read_text(encoding="utf-8").split()]
    links = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for file, _, split in rows:
        if split == "calib":
            (links / file).symlink_to((images / file).resolve())
    return (
        Data(links, samples=samples, crop=224, **STEPS),
        Data(images, labels=labels, split="test", crop=224, **STEPS),
    )


def detection(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """Photographs with boxes."""
    os.environ["DETECTION_DATA"] = str(shared / "detection")
    return Data(f"{DETECTION}:calibration", samples=samples), Data(f"{DETECTION}:val")


TENSOR_AND_CHANNEL = {4: "tensor", 3: "tensor", 2: "channel"}
CASES = {
    case.model.rpartition("/")[2].removesuffix(".onnx"): case
    for case in (
        Case("cifar10/resnet20.onnx", cifar, "top1", TENSOR_AND_CHANNEL),
        Case("mlperf_tiny/ic_resnet8.onnx", raw_cifar, "top1", TENSOR_AND_CHANNEL),
        Case("keyword_spotting/ds_cnn.onnx", keywords, "top1", {4: "tensor", 3: "tensor"}),
        Case(
            "imagenet_sample/squeezenet1_1.onnx", imagenet, "agreement", {4: "tensor", 3: "tensor"}
        ),
        Case(
            "detection/nanodet_320.onnx",
            detection,
            f"{DETECTION}:mean_ap",
            {6: "tensor", 4: "channel"},
        ),
    )
}
WITHOUT_DATA = {"resnet20": {4: "channel", 6: "tensor"}}


@dataclass(frozen=True)
class Row:
    """What one process measures."""

    name: str
    bits: int
    granularity: str
    shared: Path
    samples: int
    without_data: bool
    options: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name}, {self.bits} bits per {self.granularity}"


def measured(row: Row) -> dict[str, Any]:
    """Optimize in each of the ways, then judge each on the test data."""
    case = CASES[row.name]
    model = row.shared / case.model
    with ExitStack() as stack:
        calibration, test = case.data(row.shared, row.samples, stack)
        results = {}
        for way, settings in WAYS.items():
            results[way] = onnx_evoq.optimize(
                model,
                None if row.without_data else calibration,
                bits=row.bits,
                granularity=row.granularity,
                **settings,
                **row.options,
            )
            told(f"{row}: {way} after {results[way].seconds:.0f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    metric = "top1" if case.metric == "agreement" else case.metric  # agreement comes with any
    models: dict[str, Any] = {
        "float": model,
        **{way: result.model for way, result in results.items()},
    }
    scores = {
        name: onnx_evoq.evaluate(each, test, metric=metric, reference=model)
        for name, each in models.items()
    }

    def value(score: Evaluation) -> float | None:
        return score.agreement if case.metric == "agreement" else score.value

    evolved = results["evolved"]
    return {
        "model": row.name,
        "bits": row.bits,
        "granularity": row.granularity,
        **{name: value(score) for name, score in scores.items()},
        "seconds": evolved.seconds,
        "peak_mb": peak,
        "metric": case.metric.rpartition(":")[2],
        "data": "synthetic" if row.without_data else "calibration",
        **{
            f"{kind}_{way}": getattr(scores[way], kind)
            for kind in ("kl", "agreement", "mse")
            for way in WAYS
        },
        **({f"top1_{n}": s.value for n, s in scores.items()} if metric != case.metric else {}),
        "nearest_seconds": results["nearest"].seconds,
        "reconstruct_seconds": results["reconstruct"].seconds,
        "evaluations": evolved.evaluations,
        "stopped": evolved.stopped,
        "peak_with_test_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_its_own_process(row: Row) -> dict[str, Any] | str:
    """What `measured` returns, or the reason why it does not."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(sender, row), daemon=True)
    process.start()
    sender.close()
    try:
        answer: dict[str, Any] | str | None = receiver.recv()
    except EOFError:
        answer = None
    process.join()
    return answer or f"the process ended with exit code {process.exitcode}"


def send(sender: Connection, row: Row) -> None:
    """Send what `measured` returns, or why it failed."""
    try:
        sender.send(measured(row))
    except Exception as cause:  # whatever it is, the other rows go on
        sender.send(f"{type(cause).__name__}: {cause}")


def shown(row: Mapping[str, Any]) -> list[str]:
    """A row as text."""
    own = row["metric"] not in ("top1", "agreement")
    values = [f"{row[n]:.4f}" if own else f"{100 * row[n]:.2f}" for n in ("float", *WAYS)]
    end = [f"{row['seconds']:.0f}", f"{row['peak_mb']:.0f}"]
    return [row["model"], str(row["bits"]), row["granularity"], *values, *end]


def told(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def asked(given: argparse.Namespace) -> list[Row]:
    """The rows that the options ask for."""
    usual = WITHOUT_DATA if given.without_data else {name: CASES[name].rows for name in CASES}
    options = {"seed": given.seed}
    if given.time_budget is not None:
        options["time_budget"] = given.time_budget
    return [
        Row(
            name,
            bits,
            given.granularity or rows.get(bits, "tensor"),
            given.shared,
            given.samples,
            given.without_data,
            options,
        )
        for name, rows in usual.items()
        if given.only is None or any(part in name for part in given.only)
        for bits in given.bits or rows
    ]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder of models and data")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="models whose name holds one")
    parser.add_argument("--bits", type=int, action="append", help="widths instead of the usual")
    parser.add_argument("--granularity", choices=["tensor", "channel"], help="of all rows")
    parser.add_argument("--samples", type=int, default=1024, help="to calibrate on, at most")
    parser.add_argument("--time-budget", type=float, help="seconds of each way; optimize's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-data", action="store_true", help="calibrate on synthetic inputs")
    parser.add_argument("--json", action="store_true", help="one object per row")
    return parser.parse_args(words)


def main() -> int:
    """Measure row by row; 1 if one failed."""
    given = arguments()
    settings = {
        name: getattr(given, name) for name in ("samples", "time_budget", "seed", "without_data")
    }
    head = f"{machine()}\nsettings {settings}"
    print(head, file=sys.stderr if given.json else sys.stdout, flush=True)
    rows, failed = [], False
    for row in asked(given):
        file = row.shared / CASES[row.name].model
        answer = in_its_own_process(row) if file.exists() else f"{file} is missing."
        if isinstance(answer, str):
            told(f"{row}: failed: {answer}")
            failed = True
            continue
        rows.append(shown(answer))
        cells = zip(("float", *WAYS), rows[-1][3:7], strict=True)
        told(f"{row}: " + ", ".join(f"{way} {cell}" for way, cell in cells))
        if given.json:
            print(json.dumps(answer), flush=True)
    if not rows:
        told("nothing was measured: check --only and --shared.")
        return 1
    if not given.json:
        header = ["model", "bits", "per", "float", *WAYS, "s", "MB"]
        print(table(header, rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
