"""Measure what `onnx-evoq optimize MODEL --strategy none` costs on models of growing size.

Each model is optimized in a process of its own. A table shows its weights in millions, the samples,
the CPU seconds (user and system) and the wall seconds of the process, its peak memory in MB, and
the mean squared error of the outputs against the float model's on held-out samples: of nearest
rounding and of the model that was written. bench_sizes_cases.py says which models these are, and
which of them need DIR; without it these are left out. Reading the images counts.

    python tools/bench_sizes.py
    python tools/bench_sizes.py --shared DIR --only yolov8n --only resnet18 --keep MADE --json
    python tools/bench_sizes.py --only gemm9216 --bits 3 --time-budget 20s --memory 1GB --workers 1
    python tools/bench_sizes.py --only yolov8n --load 2
    python tools/bench_sizes.py --growth --shared DIR --limit 600

With --growth, three tables show a ResNet-18 whose width, number of samples or image size grows,
while the others stay the same. A row that fails, or passes its --limit of CPU seconds, is reported
on stderr; the others go on, and the exit code is 1.
"""

import argparse
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench_optimize import machine
from bench_sizes_cases import CASES, Case, Place, Ready, growth, prepared

from onnx_evoq.report import table

Row = dict[str, Any]
HEADER = ["model", "M", "samples", "CPU s", "wall s", "MB", "nearest", "mse"]

# A busy process ends by itself when this one does, however this one ends.
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): sum(range(100_000))"


def made_ready(case: Case, place: Place) -> Ready | None:
    """What `prepared` returns, from a process of its own.

    A child's peak memory starts at what its parent has used, so this process must stay small.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(prepared, case, place).result()


def measured(case: Case, ready: Ready, given: argparse.Namespace) -> Row | str:
    """Optimize once; the row, or the reason why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        words = [
            sys.executable, "-m", "onnx_evoq", "optimize", str(ready.model), *ready.options,
            "--strategy", "none", "--metric", "mse", "--bits", str(given.bits),
            "--output", str(output / "written.onnx"), "--json", "--quiet",
        ]  # fmt: skip
        for name in ("time_budget", "memory", "workers"):
            if getattr(given, name) is not None:
                words += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
        answer, said = output / "answer", output / "said"
        with answer.open("w") as out, said.open("w") as err:
            began = time.monotonic()
            process = subprocess.Popen(words, stdout=out, stderr=err)
            status, usage = ended(process, given.limit)
            wall = time.monotonic() - began
        if status == -signal.SIGXCPU:
            peak = usage.ru_maxrss / 1024
            return f"not done after {given.limit} CPU s, at a peak of {peak:.0f} MB"
        if status:
            last = said.read_text(encoding="utf-8").strip().splitlines()[-1:]
            return f"exit code {status}: {''.join(last)}"
        scores = json.loads(answer.read_text(encoding="utf-8"))["scores"]
    return {
        "model": case.name,
        "bits": given.bits,
        "weights": ready.weights,
        "samples": case.samples,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "wall_seconds": wall,
        "peak_mb": usage.ru_maxrss / 1024,
        "mse_nearest": scores["nearest"]["heldout"],
        "mse": scores["evolved"]["heldout"],
    }


def ended(process: "subprocess.Popen[bytes]", limit: int | None) -> tuple[int, Any]:
    """Wait for a process: its exit code, and what it used; a limit of CPU seconds ends it."""
    try:
        if limit is not None:
            # The kernel signals at the first number, and kills at the second.
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (limit, limit + 10))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage
    finally:
        if process.returncode is None:  # this process is being ended
            process.kill()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many cores busy."""
    with ExitStack() as stack:
        for _ in range(count):
            words = [sys.executable, "-c", BUSY, str(os.getpid())]
            other = stack.enter_context(subprocess.Popen(words))
            stack.callback(other.kill)  # runs before its exit waits for it
        yield


def row_of(case: Case, place: Place, given: argparse.Namespace) -> Row | None:
    """Measure a case, and say how it went; None if it gave nothing."""
    answer: Row | str
    try:
        ready = made_ready(case, place)
        answer = measured(case, ready, given) if ready else "its model is not in --shared"
    except (OSError, ValueError) as cause:  # whatever it is, the other rows go on
        answer = f"{type(cause).__name__}: {cause}"
    if isinstance(answer, str):
        print(f"{case.name}: {answer}", file=sys.stderr, flush=True)
        return None
    if given.json:
        print(json.dumps(answer), flush=True)
    else:
        print(f"{case.name}: {answer['cpu_seconds']:.1f} CPU s", file=sys.stderr, flush=True)
    return answer


def shown(row: Row) -> list[str]:
    """A row as text."""
    return [
        row["model"],
        f"{row['weights'] / 1e6:.2f}",
        str(row["samples"]),
        *(f"{row[name]:.1f}" for name in ("cpu_seconds", "wall_seconds")),
        f"{row['peak_mb']:.0f}",
        *(f"{row[name]:.3g}" for name in ("mse_nearest", "mse")),
    ]


def tables_of(given: argparse.Namespace) -> dict[str, list[Case]]:
    """The cases of each table, by its title; without DIR only those whose model is made."""

    def asked(case: Case) -> bool:
        named = not given.only or any(name in case.name for name in given.only)
        return named and bool(case.make or given.shared)

    groups = growth() if given.growth else {"": list(CASES)}
    return {title: [case for case in cases if asked(case)] for title, cases in groups.items()}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, help="folder of real models and data")
    parser.add_argument("--only", action="append", metavar="NAME", help="cases whose name holds it")
    parser.add_argument("--growth", action="store_true", help="the tables of growth instead")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--time-budget", metavar="DURATION", help="of optimize; its own default")
    parser.add_argument("--memory", metavar="SIZE", help="of optimize")
    parser.add_argument("--workers", type=int, help="of optimize")
    parser.add_argument("--load", type=int, default=0, metavar="N", help="keep N cores busy")
    parser.add_argument(
        "--limit", type=int, metavar="SECONDS", help="end a process after so much CPU time"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what is made here")
    parser.add_argument("--json", action="store_true", help="one object per row")
    return parser.parse_args(words)


def main() -> int:
    """Measure case by case; 1 if one gave nothing."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no process may stay behind
    note = f"{machine()}\n{given.bits} bits, {given.load} busy processes beside it"
    print(note, file=sys.stderr if given.json else sys.stdout, flush=True)
    rows: dict[str, Row | None] = {}
    with ExitStack() as stack:
        made = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made.mkdir(parents=True, exist_ok=True)
        stack.enter_context(busy(given.load))
        for title, cases in tables_of(given).items():
            for case in cases:
                if case.name not in rows:  # the tables of growth share one
                    rows[case.name] = row_of(case, Place(given.shared, made), given)
            found = [row for case in cases if (row := rows[case.name])]
            if found and not given.json:
                print(f"\n{title} grows" if title else "")
                print(table(HEADER, [shown(row) for row in found]), flush=True)
    if not rows:
        print("nothing was measured: check --only and --shared.", file=sys.stderr)
    return int(not rows or None in rows.values())


if __name__ == "__main__":
    sys.exit(main())
