"""Measure how long the reconstruction of a layer takes, with the moments that it needs.

A table shows the seconds for the moments, for the reconstruction, and for both, of layers of
growing size at 4 bits with one step. Each has 20,000 positions in ten chunks: columns of low rank
with some noise, and targets of columns that differ a little. The environment variable
OMP_NUM_THREADS sets the number of threads of the BLAS behind NumPy.

    python tools/bench_reconstruct.py
    python tools/bench_reconstruct.py --layers 2 --json
"""

import argparse
import json
import os
import time

import numpy as np
from bench_optimize import machine

from onnx_evoq.quantize import (
    Dense,
    GridSpec,
    LayerSamples,
    SampleChunk,
    reconstruct_with_activation,
)
from onnx_evoq.report import table

LAYERS = [(64, 576), (128, 1152), (256, 2304), (512, 4608)]  # rows, columns
POSITIONS, CHUNKS, RANK = 20_000, 10, 64


def measure(rows: int, columns: int) -> dict[str, float]:
    """Seconds for the moments and for the rest."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    weight, mix = normal(rows, columns) / columns**0.5, normal(RANK, columns) / RANK**0.5
    samples, gathering = LayerSamples(centred=True), 0.0
    for _ in range(CHUNKS):
        x = normal(POSITIONS // CHUNKS, RANK) @ mix
        x += 0.3 * normal(*x.shape)
        targets = (x + 0.1 * normal(*x.shape)) @ weight.T
        start = time.perf_counter()
        samples.add(SampleChunk(x[None], targets[None]))
        gathering += time.perf_counter() - start
    start = time.perf_counter()
    reconstruct_with_activation(weight, Dense("...k,nk->...n"), samples, GridSpec(bits=4))
    return {"moments": gathering, "reconstruct": time.perf_counter() - start}


def main() -> None:
    """Print the table, or one object with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--layers", type=int, default=len(LAYERS), help="so many of them, the smallest first"
    )
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    given = parser.parse_args()
    seconds = {
        f"{rows}x{columns}": measure(rows, columns) for rows, columns in LAYERS[: given.layers]
    }
    if given.json:
        print(json.dumps(seconds))
        return
    print(f"{machine()}\n{os.environ.get('OMP_NUM_THREADS', 'default')} threads; seconds")
    lines = [
        [layer, *(f"{value:.2f}" for value in (*each.values(), sum(each.values())))]
        for layer, each in seconds.items()
    ]
    print(table(["layer", "moments", "reconstruct", "both"], lines))


if __name__ == "__main__":
    main()
