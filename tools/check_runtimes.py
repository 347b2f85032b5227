"""Check how runtimes read the files that `optimize` emits.

Each kind of file is made of a small convolutional network and of a small transformer, without a
search, and run on test data in each runtime that is installed. A table for each model shows, for
each kind and runtime,

- the largest difference of an output to what `optimize` scored in ONNX Runtime, relative to the
  largest output,
- the percentage of samples whose answer, the largest output, is the same,
- or a letter; the reason why the file gives nothing stands below.

Runtimes use their default options; ov-accuracy is OpenVINO in its mode for accuracy. Most of them
come with `pip install '.[runtimes]'`, ort-node and ort-web with `npm install onnxruntime-node
onnxruntime-web` in the folder that this is started in, mnn with `pip install MNN`.

With --shared, the models are the real ones with classes that lie in DIR, as bench_accuracy_cases.py
says.

    python tools/check_runtimes.py
    python tools/check_runtimes.py --only openvino ov-accuracy --kinds W8A8 "W4A8 channel"
    python tools/check_runtimes.py --shared DIR --models resnet20 --json

With --check, only the files are run that most runtimes read, in the runtimes that read them, and
the exit code is 1 if one gives other answers.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from bench_optimize import machine
from check_runtimes_kinds import KINDS, OWN, SHARED, Emitted, emitted, own_cases, shared_cases
from check_runtimes_processes import outcomes
from check_runtimes_runs import RUNTIMES

from onnx_evoq.metrics import largest_difference
from onnx_evoq.report import table

WIDTH = 80  # columns of the terminal
SURE_KINDS = ("W4 float", "W4 INT8", "W4A8 portable")
SURE_RUNTIMES = ("onnxruntime", "reference", "tract", "ov-accuracy", "iree", "tvm")
LEAST_SAME = 0.95  # share of answers: a value halfway between two codes may be rounded otherwise


def main() -> None:
    """Print a table per model, or a row per file and runtime as JSON with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(RUNTIMES), choices=list(RUNTIMES))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--models", nargs="+", choices=[*OWN, *SHARED])
    parser.add_argument("--shared", type=Path, help="folder of real models and data")
    parser.add_argument("--json", action="store_true", help="one object per file and runtime")
    parser.add_argument("--check", action="store_true", help="fail where answers should be right")
    given = parser.parse_args()
    if given.check:
        given.only = [name for name in given.only if name in SURE_RUNTIMES]
        given.kinds = [kind for kind in given.kinds if kind in SURE_KINDS]
    there = OWN if given.shared is None else SHARED
    for name in given.models or ():
        if name not in there:
            parser.error(f"{name} needs {'--shared DIR' if name in SHARED else 'no --shared'}")
    found = {name: RUNTIMES[name].version() for name in given.only}
    versions = {name: version for name, version in found.items() if version is not None}
    if not versions or not given.kinds:
        parser.error("nothing is left to run: name other runtimes or kinds")
    print(heading(found), file=sys.stderr if given.json else sys.stdout, flush=True)
    bad: list[str] = []
    with ExitStack() as stack:
        cases = own_cases() if given.shared is None else shared_cases(given.shared, stack)
        for case in cases:
            if case.name not in (given.models or there):
                continue
            files = [emitted(case, kind) for kind in given.kinds]
            rows = list(rows_of(files, versions))
            bad += wrong(rows)
            if given.json:
                print("\n".join(json.dumps(row) for row in rows), flush=True)
            else:
                print(f"\n{shown(case.name, files, rows, list(versions))}", flush=True)
    if given.check and bad:
        sys.exit("\n".join(bad))


def wrong(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each file that a runtime does not read, or gives other answers for."""
    for row in rows:
        if row["reason"] is not None or row["same"] < LEAST_SAME:
            what = row["reason"] or f"{100 * row['same']:.0f} % of the answers are the same"
            yield f"{row['model']}, {row['kind']}, {row['runtime']} {row['version']}: {what}"


def heading(versions: Mapping[str, str | None]) -> str:
    """The versions of this project, of the machine and of the runtimes."""
    installed = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [name for name, version in versions.items() if not version]
    lines = [f"runtimes: {', '.join(installed)}"]
    lines += [f"not installed: {', '.join(missing)}"] if missing else []
    return "\n".join([machine(), *(textwrap.fill(line, WIDTH) for line in lines)])


def rows_of(files: Sequence[Emitted], versions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What each runtime makes of each file of one model."""
    for name, version in versions.items():
        print(f"{files[0].model}: {name}", file=sys.stderr, flush=True)
        contents = [(file.content, file.feed) for file in files]
        for file, outputs in zip(files, outcomes(RUNTIMES[name].run, contents), strict=True):
            about = {"model": file.model, "kind": file.kind, "opset": file.opset}
            yield {**about, "runtime": name, "version": version, **compared(file, outputs)}


def compared(file: Emitted, outputs: Sequence[Any] | str) -> dict[str, Any]:
    """The largest difference and the share of same answers, or the reason why there are none."""
    if isinstance(outputs, str):
        return {"difference": None, "same": None, "reason": outputs}
    expected = list(file.outputs.values())
    shapes = [values.shape for values in outputs]
    if shapes != [values.shape for values in expected]:
        return compared(file, f"gives outputs of the shapes {shapes}")
    own = dict(zip(file.outputs, outputs, strict=True))
    same = np.mean(answers(outputs[0]) == answers(expected[0]))
    return {
        "difference": largest_difference(own, file.outputs), "same": float(same), "reason": None,
    }  # fmt: skip


def answers(output: Any) -> Any:
    """The number of the largest value of each sample: (samples,)."""
    return output.reshape(len(output), -1).argmax(1)


def shown(
    model: str, files: Sequence[Emitted], rows: Sequence[Mapping[str, Any]], runtimes: Sequence[str]
) -> str:
    """A table per handful of runtimes, of at most 80 columns, and the reasons below."""
    letters: dict[str, str] = {}
    cells = {(row["kind"], row["runtime"]): cell(row, letters) for row in rows}
    stated = {file.kind: str(file.opset) for file in files}
    widths = {
        name: max(len(text) for text in (name, *(cells[kind, name] for kind in stated)))
        for name in runtimes
    }
    beside = max(map(len, ["kind", *stated])) + len("  opset")
    tables = [
        table(
            ["kind", "opset", *names],
            [[k, opset, *(cells[k, name] for name in names)] for k, opset in stated.items()],
        )
        for names in columns_that_fit(widths, WIDTH - beside)
    ]
    reasons = [
        textwrap.fill(f"{letter}  {text}", WIDTH, subsequent_indent="   ")
        for text, letter in letters.items()
    ]
    parts = [model, *tables, *(["\n".join(reasons)] if reasons else [])]
    return "\n\n".join(parts)


def cell(row: Mapping[str, Any], letters: dict[str, str]) -> str:
    """An entry of the table; a new reason is given the next letter."""
    if row["reason"] is not None:
        return letters.setdefault(row["reason"], letter_of(len(letters)))
    difference = "0" if row["difference"] == 0 else f"{row['difference']:.0e}"
    return f"{difference} {100 * row['same']:.0f}"


def letter_of(index: int) -> str:
    """a to z, then aa to az, and so on."""
    rounds, letter = divmod(index, len(ascii_lowercase))
    return (letter_of(rounds - 1) if rounds else "") + ascii_lowercase[letter]


def columns_that_fit(widths: Mapping[str, int], room: int) -> Iterator[list[str]]:
    """Columns in handfuls that fit into the room, with two blanks before each."""
    names: list[str] = []
    taken = 0
    for name, width in widths.items():
        if names and taken + 2 + width > room:
            yield names
            names, taken = [], 0
        names.append(name)
        taken += 2 + width
    if names:
        yield names


if __name__ == "__main__":
    main()
