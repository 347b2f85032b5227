"""Coordinate descent by hand and against a plain loop."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from layer_problems import HIGH, LOW, Floats, problem, random_codes, seeds, shapes, unit_grid

from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian


def plain_loop(
    weights: Floats, hessian: Floats, step: float, codes: Floats, sweeps: int = 8, most: int = HIGH
) -> Floats:
    """One row, column by column."""
    codes = codes.copy()
    for j in list(range(len(weights))) * sweeps:
        slope = (step * codes - weights) @ hessian[:, j]
        ideal = codes[j] - slope / (step * hessian[j, j])
        codes[j] = np.clip(np.rint(ideal), -1 - most, most)
    return codes


def test_a_column_moves_as_far_as_it_should() -> None:
    start = np.array([[[-4.0]]])
    hessian = FactoredHessian(np.ones((1, 1, 1)))
    assert coordinate_descent(np.full((1, 1, 1), 2.2), hessian, unit_grid(), start).item() == 2
    assert start.item() == -4


@settings(max_examples=50)
@given(shapes, seeds)
def test_descent_never_raises_the_cost(shape: tuple[int, int, int], seed: int) -> None:
    weights, hessian, grid = problem(shape, seed)
    codes = random_codes(shape, seed)
    before = cost(weights, hessian, grid, codes)
    after = cost(weights, hessian, grid, coordinate_descent(weights, hessian, grid, codes))
    assert (after <= before * (1 + 1e-9)).all()


@pytest.mark.parametrize("columns", [64, 65, 150])
def test_descent_in_blocks_is_the_plain_loop(columns: int) -> None:
    weights, hessian, grid = problem((2, 3, columns), noise=1.0)
    start = grid.nearest(weights)
    found = coordinate_descent(weights, hessian, grid, start)
    for group, row in np.ndindex(2, 3):
        step = grid.steps[group, row, 0]
        alone = weights[group, row], hessian.matrix[group], step, start[group, row]
        assert (found[group, row] == plain_loop(*alone)).all()
    assert (found != start).any()


@pytest.mark.parametrize(("columns", "sweeps"), [(2, 8), (1200, 8), (1201, 6)])
def test_many_columns_get_fewer_sweeps(columns: int, sweeps: int) -> None:
    # Two columns that depend on each other need many sweeps; the others have no error.
    hessian = np.eye(columns)[None]
    hessian[0, 0, 1] = hessian[0, 1, 0] = 0.99
    weights, start = np.zeros((1, 1, columns)), np.zeros((1, 1, columns))
    weights[0, 0, :2] = 1000.0, -1000.0
    grid = unit_grid(1, -9999, 9998)
    found = coordinate_descent(weights, FactoredHessian(hessian), grid, start)[0, 0]
    first = weights[0, 0, :2], hessian[0, :2, :2], 1.0, start[0, 0, :2]
    assert (found[:2] == plain_loop(*first, sweeps, 9998)).all()
    assert (found[:2] != plain_loop(*first, sweeps + 1, 9998)).any()
    assert not found[2:].any()


@pytest.mark.parametrize("ahead", [1, 70, 10_000])
def test_looking_ahead_changes_no_codes(ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hessian, grid = problem((2, 5, 150), seed=3)
    start = grid.nearest(weights)
    expected = coordinate_descent(weights, hessian, grid, start)
    monkeypatch.setattr(
        sys.modules["onnx_evoq.quantize.grid.coordinate_descent"], "_LOOK_AHEAD", ahead
    )
    found = coordinate_descent(weights, hessian, grid, start)
    assert (found == expected).all()
    assert (found != start).any()


def test_rows_with_their_own_limits_descend_as_if_alone() -> None:
    weights, hessian, grid = problem((1, 3, 5))
    most = np.array([0, 1, 7])
    low, high = (-1.0 - most)[None, :, None], most[None, :, None].astype(float)
    grid, start = RowGrid(grid.steps, low, high), np.zeros((1, 3, 5))
    found = coordinate_descent(3 * weights, hessian, grid, start)[0]
    for row in range(3):
        alone = 3 * weights[0, row], hessian.matrix[0], grid.steps[0, row, 0], start[0, row]
        assert (found[row] == plain_loop(*alone, most=most[row])).all()
    assert found.min() < LOW


def test_sweeps_may_be_fewer() -> None:
    weights, hessian, grid = problem((1, 3, 70), noise=1.0)
    start = grid.nearest(weights)
    found = coordinate_descent(weights, hessian, grid, start, sweeps=1)[0]
    for row in range(3):
        alone = weights[0, row], hessian.matrix[0], grid.steps[0, row, 0], start[0, row]
        assert (found[row] == plain_loop(*alone, sweeps=1)).all()
