"""Print the SHA-256 of what `onnx-evoq optimize` writes with other threads, workers and cores.

The same seed must give the same bytes with another number of `--workers`, of threads of BLAS and
OpenMP, and of cores. (A tight bound of memory may change them: wide layers then get fewer
positions.) A line for each says what was written; if two differ, the exit code is 1.

    python tools/same_bytes.py models/digits_resnet.onnx --data models/digits_calib.npz
    python tools/same_bytes.py MODEL.onnx --data DATA.npz --samples 64 --bits 3 --strategy none
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# What may be used -> options of `optimize`, the number of threads in the environment, and of cores.
SETTINGS: dict[str, tuple[list[str], str | None, int | None]] = {
    "defaults": ([], None, None),
    "1 worker": (["--workers", "1"], None, None),
    "2 workers": (["--workers", "2"], None, None),
    "5 workers": (["--workers", "5"], None, None),
    "1 thread": ([], "1", None),
    "2 threads": ([], "2", None),
    "4 threads": ([], "4", None),
    "1 core": ([], None, 1),
}


def written(options: Sequence[str], threads: str | None, cores: int | None) -> str:
    """The SHA-256 of the file that `optimize` writes, in short."""
    environment = dict(os.environ)
    for name in THREADS:
        environment.pop(name, None)
        if threads is not None:
            environment[name] = threads
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "written.onnx"
        words = [sys.executable, "-m", "onnx_evoq", "optimize", *options, "--output", str(output)]
        everywhere = os.sched_getaffinity(0)
        try:
            if cores is not None:
                os.sched_setaffinity(0, sorted(everywhere)[:cores])  # the program inherits it
            subprocess.run(words, env=environment, check=True, capture_output=True)
        finally:
            os.sched_setaffinity(0, everywhere)
        return hashlib.sha256(output.read_bytes()).hexdigest()[:16]


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="an ONNX file")
    parser.add_argument("--data", help="samples, as onnx-evoq takes them")
    parser.add_argument("--samples", default="128", help="how many of them")
    parser.add_argument("--bits", default="4", help="width of the codes")
    parser.add_argument("--strategy", default="none", help="how codes are searched")
    given = parser.parse_args()
    options = [given.model, "--samples", given.samples, "--bits", given.bits]
    options += ["--strategy", given.strategy, "--time-budget", "none"]
    if given.data:
        options += ["--data", given.data]
    if given.strategy != "none":
        options += ["--population", "4", "--generations", "2"]
    found = set()
    for name, (more, threads, cores) in SETTINGS.items():
        digest = written([*options, *more], threads, cores)
        found.add(digest)
        print(f"{digest}  {name}", flush=True)
    if len(found) > 1:
        raise SystemExit(f"{len(found)} different files were written")


if __name__ == "__main__":
    main()
