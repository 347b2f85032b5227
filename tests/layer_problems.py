"""Small layers for the tests of quantization: weights with H, grids, columns and targets."""

from itertools import product

import numpy as np
from graphs import random
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnx_evoq.quantize import Dense
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.moments import Moments

Floats = NDArray[np.float64]

LOW, HIGH = -4, 3
DENSE = Dense("...k,nk->...n")  # a weight (rows, columns) is its matrix

shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8))
seeds = st.integers(0, 2**32 - 1)


def problem(
    shape: tuple[int, int, int], seed: int = 0, noise: float = 0.2
) -> tuple[Floats, FactoredHessian, RowGrid]:
    """Weights, the H of columns that depend on each other more with less noise, and a grid."""
    groups, rows, columns = shape
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((groups, columns, max(1, columns // 2)))
    hessian = factors @ factors.transpose(0, 2, 1) + noise * np.eye(columns)
    weights = rng.uniform(-1, 1, shape)
    steps = rng.uniform(0.2, 0.4, (groups, rows, 1))
    return weights, FactoredHessian(hessian), RowGrid(steps, LOW, HIGH)


def random_codes(shape: tuple[int, ...], seed: int = 0) -> Floats:
    return np.random.default_rng(seed).integers(LOW, HIGH, shape, endpoint=True).astype(float)


def unit_grid(rows: int = 1, low: int = LOW, high: int = HIGH) -> RowGrid:
    """Steps of 1 for the rows of one group."""
    return RowGrid(np.ones((1, rows, 1)), low, high)


def all_codes(columns: int, low: int = LOW, high: int = HIGH) -> Floats:
    """Every row of codes, (rows, columns)."""
    return np.array(list(product(range(low, high + 1), repeat=columns)), np.float64)


def lowest_costs(weights: Floats, hessian: FactoredHessian, grid: RowGrid) -> Floats:
    """The lowest cost of each row of one group, by brute force."""
    every = all_codes(weights.shape[2])[None]
    lowest = [
        cost(
            np.broadcast_to(row, every.shape), hessian, RowGrid(step[None, None], LOW, HIGH), every
        )
        for row, step in zip(weights[0], grid.steps[0], strict=True)
    ]
    return np.min(lowest, axis=2)[:, 0]


def correlated(positions: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    """Columns of rank 4 and some noise, (positions, columns)."""
    mix = random(4, columns, seed=seed + 1)
    return random(positions, 4, seed=seed) @ mix + random(positions, columns, seed=seed + 2) / 4


def sums_of(
    x: NDArray[np.floating], t: NDArray[np.floating], *, centred: bool = False, chunks: int = 4
) -> MomentSums:
    """Moments of columns (positions, columns) and targets (positions, rows)."""
    sums = MomentSums(centred)
    for columns, targets in zip(np.array_split(x, chunks), np.array_split(t, chunks), strict=True):
        sums.add(columns[None].astype(np.float32), targets[None].astype(np.float32))
    return sums


def moments_with(hessian: Floats, rows: int = 1) -> Moments:
    """Moments with that H, (groups, columns, columns), C = 0 and means of zero."""
    groups, columns, _ = hessian.shape
    return Moments(
        hessian,
        np.zeros((groups, rows, columns)),
        np.zeros((groups, columns)),
        np.zeros((groups, rows)),
    )
