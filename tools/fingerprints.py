"""Print the SHA-256 of what a fixed set of commands emits, to see whether a change changed it.

    python tools/fingerprints.py > before.txt      # then change something
    python tools/fingerprints.py --check before.txt
    python tools/fingerprints.py --only digits_depthwise

The commands cover each strategy from each start, formats, steps and widths, a bounded drop, and
`search`, on three models of `models/`, with small generations and without a time budget. The
fingerprints depend on the machine and the versions of NumPy and ONNX Runtime: compare them on one
machine.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

MODELS = Path(__file__).resolve().parents[1] / "models"
NAMES = ("digits_autoencoder", "digits_depthwise", "digits_transformer")
SMALL = ["--population", "4", "--generations", "2", "--time-budget", "none", "--samples", "96"]

# Options of `optimize`, beside those of each strategy from each start.
OTHERS = {
    "none reconstruct": ["--bits", "4", "--strategy", "none"],
    "none nearest": ["--bits", "4", "--strategy", "none", "--init", "nearest"],
    "channel": ["--bits", "2", "--granularity", "channel"],
    "float step": ["--bits", "3", "--scale", "float"],
    "float format": ["--bits", "5", "--format", "float"],
    "max drop": ["--bits", "2", "--max-drop", "3"],
    "max drop nearest": ["--bits", "3", "--max-drop", "3", "--init", "nearest"],
}


def commands(model: str) -> Iterator[tuple[str, list[str]]]:
    """Labels and the arguments of `onnx-evoq`, without where to write."""
    for strategy in ("neuroevolution", "coevolution"):
        for init in ("reconstruct", "nearest"):
            options = ["--bits", "3", "--strategy", strategy, "--init", init]
            yield f"{strategy} {init}", ["optimize", model, *options, *SMALL]
    for label, options in OTHERS.items():
        yield label, ["optimize", model, *options, *SMALL]
    yield "sensitivity", ["sensitivity", model, "--samples", "96", "--json"]
    yield "inspect", ["inspect", model, "--json"]


def run(arguments: list[str], folder: Path) -> bytes:
    """What a command prints on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "onnx_evoq", *arguments],
        capture_output=True,
        cwd=folder,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout


def digest(content: bytes) -> str:
    """SHA-256, in short."""
    return hashlib.sha256(content).hexdigest()[:16]


def fingerprints(names: Sequence[str]) -> Iterator[str]:
    """A line for each output of these models."""
    data = ["--data", str(MODELS / "digits_calib.npz")]
    for name in names:
        model = str(MODELS / f"{name}.onnx")
        for label, arguments in commands(model):
            with tempfile.TemporaryDirectory() as folder:
                written = Path(folder) / "out.onnx"
                if arguments[0] == "optimize":
                    run([*arguments, *data, "--quiet", "--output", str(written)], Path(folder))
                    content = written.read_bytes()
                else:
                    content = run(
                        [*arguments, *(data if arguments[0] != "inspect" else [])], Path(folder)
                    )
            yield f"{digest(content)}  {name}  {label}"
        with tempfile.TemporaryDirectory() as folder:
            policy, written = Path(folder) / "policy.json", Path(folder) / "out.onnx"
            options = ["--per-channel"] if name == NAMES[0] else []
            printed = run(
                [
                    "search", model, *data, *options, "--samples", "96", "--time-budget", "none",
                    "--max-drop", "5", "--save-policy", str(policy), "--json", "--quiet",
                    "--tune-budget", "1s", "--output", str(written),
                ],
                Path(folder),
            )  # fmt: skip
            found = json.loads(printed)
            front = json.dumps([found[key] for key in ("front", "uniform", "greedy", "chosen")])
            yield f"{digest(front.encode())}  {name}  search"
            yield f"{digest(policy.read_bytes())}  {name}  search, its policy"
            run(
                [
                    "optimize",
                    model,
                    *data,
                    *SMALL,
                    "--policy",
                    str(policy),
                    "--quiet",
                    "--output",
                    str(written),
                ],
                Path(folder),
            )
            yield f"{digest(written.read_bytes())}  {name}  policy"


def main() -> None:
    """Print the fingerprints, or compare them with earlier ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", type=Path, metavar="FILE", help="earlier output to compare with")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="some models")
    given = parser.parse_args()
    known = set(given.check.read_text().splitlines()) if given.check else set()
    different = 0
    for line in fingerprints(given.only):
        other = bool(given.check) and line not in known
        different += other
        print(line + ("  DIFFERENT" if other else ""), flush=True)
    if different:
        raise SystemExit(f"{different} outputs differ from those in {given.check}")


if __name__ == "__main__":
    main()
