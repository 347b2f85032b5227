"""The closest grid point against brute force, and by its properties."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_problems import Floats, lowest_costs, problem, random_codes, seeds, shapes

from onnx_evoq.quantize.grid.closest_point import closest_codes
from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost, single_move_costs
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian


def ratios(columns: int) -> Floats:
    """Cost of `closest_codes` over the lowest cost of all codes, row by row of 200."""
    weights, hessian, grid = problem((1, 200, columns), noise=0.05)
    found = cost(weights, hessian, grid, closest_codes(weights, hessian, grid))[0]
    return found / lowest_costs(weights, hessian, grid)


@pytest.mark.parametrize("columns", [1, 2])
def test_one_or_two_columns_cost_as_little_as_by_brute_force(columns: int) -> None:
    assert ratios(columns).max() == pytest.approx(1)


@pytest.mark.parametrize("columns", [3, 4])
def test_few_columns_cost_nearly_as_little_as_by_brute_force(columns: int) -> None:
    found = ratios(columns)
    assert (found < 1 + 1e-9).mean() > 0.95
    assert found.min() > 1 - 1e-9
    assert found.max() < 2


def test_no_row_costs_more_than_by_nearest_or_gptq_rounding() -> None:
    # Without the second start about one row in two hundred would cost more than nearest rounding.
    weights, hessian, grid = problem((20, 50, 8))
    found = cost(weights, hessian, grid, closest_codes(weights, hessian, grid))
    for start in (grid.nearest(weights), gptq_rounding(weights, hessian, grid)):
        assert (found <= cost(weights, hessian, grid, start) * (1 + 1e-9)).all()


@settings(max_examples=40)
@given(shapes, seeds)
def test_no_single_move_lowers_the_cost(shape: tuple[int, int, int], seed: int) -> None:
    weights, hessian, grid = problem(shape, seed)
    codes = closest_codes(weights, hessian, grid)
    least = -1e-8 * cost(weights, hessian, grid, codes)[:, :, None]
    for costs in single_move_costs(weights, hessian, grid, codes):
        assert (costs >= least).all()


@pytest.mark.parametrize("limits", [(-2, 1), (-8, 7)])
def test_codes_are_whole_numbers_in_their_range(limits: tuple[int, int]) -> None:
    weights, hessian, grid = problem((3, 20, 8))
    codes = closest_codes(3 * weights, hessian, RowGrid(grid.steps, *limits))
    assert (codes.min(), codes.max()) == limits
    assert (codes == np.rint(codes)).all()


def test_groups_and_rows_do_not_depend_on_each_other() -> None:
    weights, hessian, grid = problem((3, 40, 8))
    together = closest_codes(weights, hessian, grid)
    for group in range(3):
        for rows in (slice(None), slice(7, 8)):
            part = (slice(group, group + 1), rows)
            own = FactoredHessian(hessian.matrix[group : group + 1])
            alone = closest_codes(
                weights[part], own, RowGrid(grid.steps[part], grid.low, grid.high)
            )
            assert (together[part] == alone).all()


def test_where_columns_are_independent_the_nearest_code_is_the_closest() -> None:
    weights, hessian, grid = problem((3, 20, 8))
    diagonal = FactoredHessian(hessian.matrix * np.eye(8))
    assert (closest_codes(weights, diagonal, grid) == grid.nearest(weights)).all()


@settings(max_examples=20)
@given(shapes, seeds, st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_grid_scaled_with_its_weights_keeps_the_codes(
    shape: tuple[int, int, int], seed: int, scale: float
) -> None:
    weights, hessian, grid = problem(shape, seed)
    scaled = RowGrid(scale * grid.steps, grid.low, grid.high)
    codes = closest_codes(weights, hessian, grid)
    assert (closest_codes(scale * weights, hessian, scaled) == codes).all()


def test_weights_on_the_grid_stay_there() -> None:
    _, hessian, grid = problem((2, 3, 9))
    codes = random_codes((2, 3, 9))
    assert (closest_codes(grid.steps * codes, hessian, grid) == codes).all()


def test_rows_with_their_own_limits_end_as_if_alone() -> None:
    weights, hessian, grid = problem((2, 3, 5))
    high = random_codes((2, 3, 1)) ** 2 // 2
    codes = closest_codes(2 * weights, hessian, RowGrid(grid.steps, -1 - high, high))
    for group, row in np.ndindex(2, 3):
        most = int(high[group, row, 0])
        alone = RowGrid(grid.steps[[group], row][:, None], -1 - most, most)
        own = FactoredHessian(hessian.matrix[[group]])
        expected = closest_codes(2 * weights[[group], row][:, None], own, alone)
        assert (codes[group, row] == expected[0, 0]).all()


def test_rows_in_parts_end_as_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hessian, grid = problem((2, 7, 12))
    expected = closest_codes(weights, hessian, grid)
    monkeypatch.setattr(
        sys.modules["onnx_evoq.quantize.grid.closest_point"], "_MOST_AT_ONCE", 3 * 12
    )
    assert (closest_codes(weights, hessian, grid) == expected).all()
