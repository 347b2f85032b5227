"""Measure what `optimize` keeps of real models: float, nearest, reconstruct and evolved.

The three quantized forms are calibrated without labels, and judged on test data that they never
see. A table shows the score of each form, the seconds of the evolved one, and the peak memory in
MB, before the test data are read. The score is top-1 in percent; for squeezenet1_1 it is the share
of answers that are the float model's, in percent, and for nanodet_320 the mAP of
examples/detection.py. bench_accuracy_cases.py says which models and data DIR holds.

    python tools/bench_accuracy.py --shared DIR
    python tools/bench_accuracy.py --shared DIR --only ic_resnet8 --bits 3 --time-budget 100
    python tools/bench_accuracy.py --shared DIR --only resnet20 --without-data --json

Each row runs in a process of its own. A row that fails is reported on stderr; the others go on, and
the exit code is 1.
"""

import argparse
import json
import multiprocessing
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench_accuracy_cases import CASES, WITHOUT_DATA
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Evaluation, Grid, Strategy
from onnx_evoq.report import table
from onnx_evoq.setup import Granularity

WAYS = {
    "nearest": Strategy("none", init="nearest"),
    "reconstruct": Strategy("none"),
    "evolved": Strategy(),
}


@dataclass(frozen=True)
class Row:
    """What one process measures: a model at a width, and the options of `optimize`."""

    name: str
    bits: int
    granularity: Granularity
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
        for way, strategy in WAYS.items():
            results[way] = onnx_evoq.optimize(
                model,
                None if row.without_data else calibration,
                bits=row.bits,
                grid=Grid(granularity=row.granularity),
                strategy=strategy,
                **row.options,
            )
            log(f"{row}: {way} after {results[way].seconds:.0f} s")
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


def log(text: str) -> None:
    """Report progress on stderr."""
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
            log(f"{row}: failed: {answer}")
            failed = True
            continue
        rows.append(shown(answer))
        cells = zip(("float", *WAYS), rows[-1][3:7], strict=True)
        log(f"{row}: " + ", ".join(f"{way} {cell}" for way, cell in cells))
        if given.json:
            print(json.dumps(answer), flush=True)
    if not rows:
        log("nothing was measured: check --only and --shared.")
        return 1
    if not given.json:
        header = ["model", "bits", "per", "float", *WAYS, "s", "MB"]
        print(table(header, rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
