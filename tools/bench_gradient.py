"""Measure the reconstruction in closed form beside rounding by gradient descent, on a ResNet-20.

All ways put the weights on a grid with one power of two for each tensor, and take the same first
calibration images, without labels. A table shows the CPU seconds of each way, also per million
weights, and on the test images the mean squared error of the outputs against the float model's, and
top-1 in percent. The ways are

- nearest, nearest rounding, and reconstruct, as `optimize --strategy none` makes them; of the
  images, `optimize` holds out a quarter;
- layers and blocks, the gradient descent of gradient_rounding.py, with 2,000 iterations for each
  layer, or for each residual block. They need PyTorch (`pip install torch`).

DIR/cifar10/ holds resnet20.onnx, calib.npz and test.npz.

    python tools/bench_gradient.py --shared DIR
    python tools/bench_gradient.py --shared DIR --ways nearest reconstruct --bits 3 --json
    python tools/bench_gradient.py --shared DIR --ways layers --iterations 500 --rate 0.001

Each way runs in a process of its own, on one thread. Its CPU seconds include no start of Python,
and no reading of images.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bench_accuracy_cases import STEPS
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Data, Resources, Strategy
from onnx_evoq.report import table

WAYS = ("nearest", "reconstruct", "layers", "blocks")
GRADIENT = ("layers", "blocks")
HEADER = ["way", "bits", "CPU s", "CPU s / M weights", "mse", "top-1"]

# The numbers of threads of the BLAS behind NumPy, and of PyTorch.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measured(way: str, bits: int, given: argparse.Namespace) -> dict[str, Any]:
    """Quantize in one way, and judge on the test images."""
    folder = given.shared / "cifar10"
    file = folder / "resnet20.onnx"
    model: Any = file
    seconds = 0.0
    with np.load(folder / "calib.npz") as arrays:
        images = arrays["x"][: given.samples]
    if way in GRADIENT:
        model, seconds = by_gradient(way == "blocks", file, images, bits, given)
    elif way != "float":
        strategy = Strategy("none", init=way)  # type: ignore[arg-type]
        one = Resources(workers=1)
        began = time.process_time()
        model = onnx_evoq.optimize(
            file,
            Data({"x": images}, **STEPS),
            bits=bits,
            strategy=strategy,
            time_budget=None,
            seed=given.seed,
            resources=one,
        ).model
        seconds = time.process_time() - began
    score = onnx_evoq.evaluate(
        model, Data(folder / "test.npz", **STEPS), metric="top1", reference=file
    )
    weights = sum(np.prod(t.dims) for t in onnx.load(file).graph.initializer if len(t.dims) > 1)
    return {
        "way": way,
        "bits": bits,
        "cpu_seconds": seconds,
        "cpu_seconds_per_million": seconds / float(weights) * 1e6,
        "mse": score.mse,
        "kl": score.kl,
        "top1": score.value,
    }


def by_gradient(
    blocks: bool, file: Path, images: np.ndarray, bits: int, given: argparse.Namespace
) -> tuple[onnx.ModelProto, float]:
    """The model of a gradient descent, and its CPU seconds."""
    import torch
    from gradient_rounding import layers_of, rounded, with_weights

    torch.set_num_threads(1)
    model = onnx.load(file)
    mean, std = (np.reshape(STEPS[name], (3, 1, 1)) for name in ("mean", "std"))
    inputs = ((images / STEPS["divide"] - mean) / std).astype(np.float32)
    began = time.process_time()
    weights = rounded(
        layers_of(model), inputs, bits, blocks, given.iterations, given.rate, given.seed, log
    )
    return with_weights(model, weights), time.process_time() - began


def log(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def shown(row: dict[str, Any]) -> list[str]:
    """A row as text; the float model has neither width nor time."""
    cells = [f"{row['cpu_seconds']:.1f}", f"{row['cpu_seconds_per_million']:.0f}"]
    if row["way"] == "float":
        cells, row = ["-", "-"], {**row, "bits": "-"}
    return [row["way"], str(row["bits"]), *cells, f"{row['mse']:.3g}", f"{100 * row['top1']:.2f}"]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of models and data")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--bits", type=int, action="append", help="default: 4 and 3")
    parser.add_argument("--samples", type=int, default=512, help="to calibrate on, at most")
    parser.add_argument("--iterations", type=int, default=2000, help="of each layer or block")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate of the descent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object per row")
    return parser.parse_args(words)


def main() -> int:
    """Measure way by way; 1 if the data or PyTorch are missing."""
    given = arguments()
    if not (given.shared / "cifar10" / "resnet20.onnx").exists():
        log(f"{given.shared} holds no cifar10/resnet20.onnx: check --shared.")
        return 1
    ways = list(given.ways)
    missing = importlib.util.find_spec("torch") is None and set(GRADIENT) & set(ways)
    if missing:
        log("PyTorch is not installed, so the gradient descent is left out: pip install torch.")
        ways = [way for way in ways if way not in GRADIENT]
    os.environ.update(dict.fromkeys(THREADS, "1"))  # for the processes that start from here on
    print(machine(), file=sys.stderr if given.json else sys.stdout, flush=True)
    rows = []
    asked = [(way, bits) for bits in given.bits or (4, 3) for way in ways]
    for way, bits in [("float", 32), *asked]:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows.append(pool.submit(measured, way, bits, given).result())
        if given.json:
            print(json.dumps(rows[-1]), flush=True)
        else:
            log(f"{way}, {bits} bits: {rows[-1]['cpu_seconds']:.1f} CPU s")
    if not given.json:
        print(table(HEADER, [shown(row) for row in rows]))
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
