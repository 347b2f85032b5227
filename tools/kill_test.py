r"""Kill a run at random moments, let it go on, and compare the bytes of its model.

    python tools/kill_test.py --moments 3
    python tools/kill_test.py --data DIR --samples 64 --strategy none --moments 20
    python tools/kill_test.py --data DIR --samples 16 --population 2 \
        --keep "onnx::Conv_2*" --keep "onnx::Conv_3[01]*" --moments 20

The run is `onnx-evoq optimize` without a time budget, in a process of its own. At each moment it
gets SIGKILL, with which nothing can be tidied up. Then `--resume` goes on, and is killed again,
three times on average, until it ends by itself. Its model must have the bytes of a run that was
never killed. Moments are drawn evenly over the time that the whole run took; of each, the stage of
the run is printed in which it fell, with the steps that were kept by then.

Without --data it is a small network of the project. With it, it is the ResNet-20 of that folder.
The third command searches, too, for formats and then for codes; it leaves the first 12 layers
float, so that the run takes half a minute.
"""

import argparse
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MODELS = Path(__file__).resolve().parent.parent / "models"
AGAIN = 0.5  # probability that a run which goes on is killed, too


def arguments_of(data: Path | None) -> list[str]:
    """The model and the data of the run, as arguments."""
    if data is None:
        model, samples = MODELS / "digits_resnet.onnx", MODELS / "digits_calib.npz"
        return [str(model), "--data", str(samples)]
    model, samples = data / "resnet20.onnx", data / "calib.npz"
    preprocessing = ["--divide", "255", "--mean", ".485,.456,.406", "--std", ".229,.224,.225"]
    return [str(model), "--data", str(samples), *preprocessing]


def command_of(words: Sequence[str]) -> list[str]:
    """A command of the command line, for a process of its own."""
    return [sys.executable, "-m", "onnx_evoq", *words]


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def killed_after(words: Sequence[str], seconds: float) -> bool:
    """Run a command, and kill it after some seconds.

    Returns:
        Whether it was killed; it may have ended before.

    Raises:
        RuntimeError: it ended before with an error.
    """
    with subprocess.Popen(
        command_of(words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {said}")
    return False


def where_it_was(run: Path) -> str:
    """The stage that a run was last in, as its log says, and how many steps it has kept."""
    log = run / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    stage = "start"
    for line in lines:
        if line.endswith("}"):  # else the end of the process cut it
            event = json.loads(line)
            stage = "start" if event["event"] == "start" else event.get("stage", stage)
    return f"{stage} ({sum(1 for _ in run.rglob('*.npz'))})"


def kill_and_go_on(
    words: Sequence[str], folder: Path, seconds: float, rng: np.random.Generator
) -> tuple[list[str], float]:
    """Kill a run at a random moment, and let it go on until it ends.

    Args:
        words: the command, without the folder of the run.
        folder: of the run.
        seconds: that the whole run takes.
        rng: draws moments.

    Returns:
        Where it was killed, each time, and the seconds of all processes.
    """
    began, kills = time.monotonic(), list[str]()
    now = [*words, "--run-dir", str(folder)]
    while killed_after(now, float(rng.uniform(0.02, 1.0)) * seconds):
        kills.append(where_it_was(folder))
        if (folder / "run.json").exists():
            now = ["optimize", "--resume", str(folder), "-q"]
        if rng.random() > AGAIN:
            killed_after(now, 100 * seconds)
            break
    return kills, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with a ResNet-20")
    parser.add_argument("--moments", type=int, default=3, help="how often the run is killed")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--strategy", default="neuroevolution", help="as for optimize")
    parser.add_argument("--samples", type=int, default=128, help="as for optimize")
    parser.add_argument("--generations", type=int, default=1, help="as for optimize")
    parser.add_argument("--population", type=int, help="as for optimize")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="PATTERN", help="as for optimize"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    given = [
        "optimize", *arguments_of(options.data), "--bits", str(options.bits), "--samples",
        str(options.samples), "--generations", str(options.generations),
        "--strategy", options.strategy, "--time-budget", "none", "-q",
    ]  # fmt: skip
    given += [word for pattern in options.keep for word in ("--keep", pattern)]
    given += [] if options.population is None else ["--population", str(options.population)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        whole = [*given, "-o", str(folder / "whole.onnx"), "--run-dir", str(folder / "whole")]
        subprocess.run(command_of(whole), check=True, stdout=subprocess.DEVNULL)
        seconds, wanted = time.monotonic() - began, hash_of(folder / "whole.onnx")
        about = json.loads((folder / "whole" / "run.json").read_text())
        size = sum(file.stat().st_size for file in (folder / "whole").rglob("*") if file.is_file())
        print(f"{Path(given[1]).name}, {options.bits} bits, seed of the moments {options.seed}")
        print(", ".join(f"{name} {found}" for name, found in about["versions"].items()))
        print(f"{platform.machine()}, {os.cpu_count()} cores")
        print(f"the whole run: {seconds:.1f} s, {size / 1e6:.2f} MB kept, {wanted[:12]}")
        different = 0
        for moment in range(options.moments):
            out = folder / f"{moment}.onnx"
            words = [*given, "-o", str(out)]
            kills, spent = kill_and_go_on(words, folder / str(moment), seconds, rng)
            found = hash_of(out)
            different += found != wanted
            said = "the same bytes" if found == wanted else "OTHER BYTES"
            print(f"{moment + 1}: killed {len(kills)} times, {spent:.1f} s in all: {said}")
            print(f"   killed in: {', '.join(kills) or 'none'}", flush=True)
    print(f"{options.moments - different} of {options.moments} ended with the same bytes")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
