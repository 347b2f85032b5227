"""Give onnx-evoq damaged models, data and options, and see that it answers in one sentence.

Each case is drawn from the seed and its number: a tiny model with up to two faults, samples that
fit or not, and options. A command runs on it in a process of its own, within limits of time and
memory. It must end with exit code 0, or print one line that begins with "Error:" (or with "Usage:",
for options that do not exist) and exit with 1, 2 or 3; it must end by itself, leave its inputs as
they are, leave nothing else behind, and print valid JSON where that is asked for. A model that was
written must load.

    python tools/fuzz.py 300
    python tools/fuzz.py 10000 --jobs 16 --seed 1
    python tools/fuzz.py --case 1234

Failures are listed with the numbers of their cases; the exit code is then 1.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from fuzz_mutations import damaged_model, options

from onnx_evoq.cli import main as command_line

COMMANDS = ("inspect", "optimize", "optimize", "optimize", "sensitivity", "evaluate", "search")
CPU_SECONDS, WALL_SECONDS, MEMORY = 20, 60, 4 * 2**30


@dataclass(frozen=True)
class Case:
    """A case whose files are written.

    Attributes:
        number: its number.
        what: what was done to which model.
        folder: where its files are.
        words: the command.
    """

    number: int
    what: str
    folder: Path
    words: list[str]


def prepared(number: int, seed: int, folder: Path) -> Case:
    """Write the files of a case."""
    rng = np.random.default_rng([seed, number])
    what, content = damaged_model(rng)
    folder.mkdir()
    (folder / "tmp").mkdir()
    (folder / "m.onnx").write_bytes(content)
    command = COMMANDS[int(rng.integers(len(COMMANDS)))]
    words = [command, "m.onnx", *options(rng, command, folder)]
    if command == "optimize" or "--budget" in words:
        words += ["--output", "out"]
    return Case(number, what, folder, words)


def run(case: Case) -> None:
    """Run a case in this process, which is a child, and end it."""
    os.chdir(case.folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(case.folder / "tmp")
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), stream)
    code = 99
    try:
        command_line(case.words, prog_name="onnx-evoq")
    except SystemExit as cause:
        code = cause.code if isinstance(cause.code, int) else 1
    except BaseException:  # what the command must not raise
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def fault(case: Case, status: int, before: dict[str, bytes]) -> str | None:
    """What is wrong with the end of a case; None if nothing is."""
    said = (case.folder / "stderr").read_text(encoding="utf-8", errors="replace")
    shown = (case.folder / "stdout").read_text(encoding="utf-8", errors="replace")
    last = said.strip().splitlines()[-1:] or [""]
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}: {last[0]}"
    code = os.waitstatus_to_exitcode(status)
    if code == 99 or "Traceback" in said:
        return f"traceback: {last[0]}"
    if code not in (0, 1, 2, 3):
        return f"exit code {code}: {last[0]}"
    lines = said.strip().splitlines()
    errors = [line for line in lines if line.startswith("Error:")]
    if code and (len(errors) != 1 or lines[-1] != errors[0]):
        return f"exit code {code} without one last line of an error: {last[0]}"
    if any(not char.isprintable() and char not in "\n\r\t" for char in said + shown):
        return "prints characters that steer a terminal"
    if {n: (case.folder / n).read_bytes() for n in before} != before:
        return "changed a file that it read"
    left = [file.name for file in (case.folder / "tmp").iterdir()]
    if left:
        return f"left {left[0]} behind"
    output = case.folder / "out"
    if code:
        return "wrote a file though it failed" if output.exists() else None
    if "--json" in case.words:
        try:
            json.loads(shown)
        except ValueError:
            return "printed no JSON"
    return loads(case, output)


def loads(case: Case, output: Path) -> str | None:
    """What is wrong with a written model; None if nothing is, or there is none."""
    if not output.exists() or {"qonnx", "c"} & set(case.words):
        return None
    try:
        onnx.checker.check_model(str(output))
        onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    except Exception as cause:  # onnx and ONNX Runtime raise several kinds
        return f"what was written does not load: {str(cause).splitlines()[0]}"
    return None


def outcomes(numbers: range, given: argparse.Namespace, place: Path) -> Iterator[tuple[Case, str]]:
    """Each case as it ends, with "" or what was wrong."""
    running: dict[int, tuple[Case, dict[str, bytes], float]] = {}
    waiting = iter(numbers)
    while True:
        while len(running) < given.jobs and (number := next(waiting, None)) is not None:
            case = prepared(number, given.seed, place / str(number))
            files = [file for file in case.folder.rglob("*") if file.is_file()]
            before = {str(file.relative_to(case.folder)): file.read_bytes() for file in files}
            process = os.fork()
            if not process:
                run(case)
            running[process] = case, before, time.monotonic()
        if not running:
            return
        process, status = os.waitpid(-1, os.WNOHANG)
        if process:
            case, before, _ = running.pop(process)
            yield case, fault(case, status, before) or ""
            shutil.rmtree(case.folder)
            continue
        for process, (_, _, began) in running.items():
            if time.monotonic() - began > WALL_SECONDS:
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=300, help="how many cases")
    parser.add_argument("--start", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="one case, whose command and answer are shown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="cases that run at a time")
    return parser.parse_args()


def main() -> int:
    """Run the cases; 1 if one failed."""
    given = arguments()
    numbers = range(given.start, given.start + given.count)
    if given.case is not None:
        numbers = range(given.case, given.case + 1)
    failures: dict[str, list[Case]] = {}
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for case, wrong in outcomes(numbers, given, Path(folder)):
            kinds[case.words[0]] += 1
            if given.case is not None:
                print(f"{case.what}\nonnx-evoq {' '.join(case.words)}")
                for name in ("stdout", "stderr"):
                    print((case.folder / name).read_text(encoding="utf-8", errors="replace"))
            if wrong:
                failures.setdefault(wrong.partition(":")[0], []).append(case)
                print(f"case {case.number} ({case.what}; {case.words[0]}): {wrong}", flush=True)
    failed = sum(map(len, failures.values()))
    print(", ".join(f"{count} {name}" for name, count in sorted(kinds.items())))
    for kind, cases in failures.items():
        print(f"{len(cases)} x {kind}: {', '.join(str(case.number) for case in cases[:8])}")
    print(f"{len(numbers) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
