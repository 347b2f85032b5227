"""Measure `onnx-evoq optimize` on models as users have them, with their data and without.

For each model and width, one row: whether the samples were the model's own or drawn; the share of
the weights' values with a closed form; the error of the outputs relative to their power, on samples
that no search has seen, of nearest rounding, of the reconstruction and of the evolved model; the
share of answers of the evolved one that are the float model's; the size of the files; and the CPU
seconds of the evolved one. Each model is made by a command of its own.

    python tools/bench_field.py --shared DIR
    python tools/bench_field.py --shared DIR --only silero --bits 4 --granularity tensor
    python tools/bench_field.py --shared DIR --time-budget 30s --json --jobs 4
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_field_cases import Case, cases
from bench_optimize import machine

from onnx_evoq.report import table

Row = dict[str, Any]
HEADER = [
    "model", "bits", "samples", "closed %", "nearest", "start", "evolved", "same %", "MB", "to",
    "CPU s",
]  # fmt: skip
WAYS = {
    "nearest": ["--init", "nearest", "--strategy", "none"],
    "start": ["--strategy", "none"],
    "evolved": [],
}


class CommandError(Exception):
    """A command of the tool failed; the text is what it said last."""


@dataclass(frozen=True)
class Wanted:
    """A row to measure."""

    case: Case
    bits: int
    drawn: bool


def answer_of(words: Sequence[str]) -> tuple[dict[str, Any], float]:
    """What a command of the tool prints as JSON, and its CPU seconds.

    Raises:
        CommandError: the command fails.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "onnx_evoq", *words, "--json", "--quiet"], stdout=out, stderr=err
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            said = err.read().decode().strip().splitlines()[-1:]
            raise CommandError(f"exit code {process.returncode}: {''.join(said)}")
        out.seek(0)
        return json.loads(out.read()), usage.ru_utime + usage.ru_stime


def measured(wanted: Wanted, given: argparse.Namespace) -> Row:
    """Make the model in three ways, and evaluate each.

    Raises:
        CommandError: a command fails.
    """
    case, model = wanted.case, given.shared / "field" / f"{wanted.case.name}.onnx"
    row: Row = {
        "model": case.name,
        "bits": wanted.bits,
        "samples": "drawn" if wanted.drawn else "own",
        "errors": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for way, options in WAYS.items():
            file = str(Path(folder) / f"{way}.onnx")
            result, seconds = answer_of([
                "optimize", str(model), "--bits", str(wanted.bits), *options,
                "--granularity", given.granularity, "--time-budget", given.time_budget,
                "--seed", str(given.seed), "--output", file,
                *([] if given.workers is None else ["--workers", str(given.workers)]),
                *([] if wanted.drawn else case.calibration),
            ])  # fmt: skip
            of_outputs = ["evaluate", file, "--reference", str(model), *case.test]
            score, _ = answer_of([*of_outputs, "--metric", "nmse"])
            row["errors"][way] = score["value"]
        row["size"], row["emitted_size"] = model.stat().st_size, Path(file).stat().st_size
    row["agreement"], row["cpu_seconds"] = score["agreement"], seconds
    row["closed_form"] = result["coverage"]["closed_form"]
    return row


def shown(row: Row) -> list[str]:
    """A row as text."""
    return [
        row["model"],
        str(row["bits"]),
        row["samples"],
        f"{100 * row['closed_form']:.1f}",
        *(f"{row['errors'][way]:.3g}" for way in WAYS),
        f"{100 * row['agreement']:.1f}",
        *(f"{row[name] / 1e6:.2f}" for name in ("size", "emitted_size")),
        f"{row['cpu_seconds']:.0f}",
    ]


def rows_of(wanted: Sequence[Wanted], given: argparse.Namespace) -> Iterator[Row | None]:
    """The rows in order, None for one that failed, which is told on stderr."""

    def one(each: Wanted) -> Row | None:
        try:
            row = measured(each, given)
        except CommandError as cause:
            kind = "drawn" if each.drawn else "own"
            print(f"{each.case.name}, {each.bits} bits, {kind} samples: {cause}", file=sys.stderr)
            return None
        print(json.dumps(row) if given.json else " ".join(shown(row)), flush=True,
              file=sys.stdout if given.json else sys.stderr)  # fmt: skip
        return row

    with ThreadPoolExecutor(given.jobs) as pool:
        yield from pool.map(one, wanted)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of real models and data")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="models whose name holds it"
    )
    parser.add_argument("--bits", type=int, action="append", help="instead of 4 and 8")
    parser.add_argument("--samples", choices=["own", "drawn"], help="instead of both")
    parser.add_argument("--granularity", choices=["tensor", "channel"], default="channel")
    parser.add_argument("--time-budget", metavar="DURATION", default="60s", help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="of each command; its own default")
    parser.add_argument("--jobs", type=int, default=1, help="rows that are measured at a time")
    parser.add_argument("--json", action="store_true", help="one object per row")
    return parser.parse_args(words)


def main() -> int:
    """Measure row by row; 1 if one failed."""
    given = arguments()
    head = f"{machine()}\n{given.granularity}, time budget {given.time_budget}, seed {given.seed}"
    print(head, file=sys.stderr if given.json else sys.stdout, flush=True)
    with ExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wanted = [
            Wanted(case, bits, kind == "drawn")
            for case in cases(given.shared, made)
            if not given.only or any(name in case.name for name in given.only)
            for kind in ("own", "drawn")
            if given.samples in (None, kind) and (kind == "own" or case.drawn)
            for bits in given.bits or (4, 8)
        ]
        rows = list(rows_of(wanted, given))
    found = [row for row in rows if row]
    if found and not given.json:
        print(table(HEADER, [shown(row) for row in found]))
    return int(not found or None in rows)


if __name__ == "__main__":
    sys.exit(main())
