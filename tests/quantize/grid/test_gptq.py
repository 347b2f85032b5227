"""GPTQ rounding by hand, against a plain loop and against Babai's bound."""

import numpy as np
import pytest
from layer_problems import HIGH, LOW, problem, random_codes, unit_grid

from onnx_evoq.quantize.grid.gptq import Sampling, gptq_rounding, gptq_with_costs
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian


def test_a_column_makes_up_for_the_error_of_the_one_before() -> None:
    # Both H_jj are 1, so column 1 comes first: 0.6 -> 1 has the error -0.4; 0.6 - 0.9 * 0.4 -> 0.
    hessian = FactoredHessian(np.array([[[1.0, 0.9], [0.9, 1.0]]]))
    codes = gptq_rounding(np.array([[[0.6, 0.6]]]), hessian, unit_grid())
    assert codes.tolist() == [[[0, 1]]]


def test_the_column_with_the_largest_diagonal_is_rounded_first() -> None:
    # 0.6 -> 1 where H_jj = 4; the other column rounds 0.6 - 0.4 * 1.8 / 1 = -0.12 -> 0.
    hessian = FactoredHessian(np.array([[[4.0, 1.8], [1.8, 1.0]]]))
    codes = gptq_rounding(np.array([[[0.6, 0.6]]]), hessian, unit_grid())
    assert codes.tolist() == [[[1, 0]]]


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_is_within_the_bound_of_babai(seed: int) -> None:
    # An error of at most half a step along each axis of R, where nothing is clipped.
    weights, hessian, grid = problem((2, 20, 2 + seed), seed)
    grid = RowGrid(grid.steps, -1000, 1000)
    codes = gptq_rounding(weights, hessian, grid)
    for group, order in enumerate(hessian.factor.order):
        lower = np.linalg.cholesky(hessian.matrix[group][np.ix_(order, order)])
        bound = (grid.steps[group, :, 0] / 2) ** 2 * (np.diagonal(lower) ** 2).sum()
        assert (cost(weights, hessian, grid, codes)[group] <= bound * (1 + 1e-9)).all()


@pytest.mark.parametrize("columns", [64, 150])
def test_rounding_in_blocks_is_the_plain_loop(columns: int) -> None:
    weights, hessian, grid = problem((2, 3, columns), noise=1.0)
    expected = np.zeros((2, 3, columns))
    for group, row in np.ndindex(2, 3):
        matrix = hessian.matrix[group]
        order = np.argsort(np.diagonal(matrix), kind="stable")
        upper = np.linalg.cholesky(matrix[np.ix_(order, order)]).T
        step, errors = grid.steps[group, row, 0], np.zeros(columns)
        for j in reversed(range(columns)):
            weight = weights[group, row, order[j]]
            target = weight + upper[j, j + 1 :] @ errors[j + 1 :] / upper[j, j]
            code = np.clip(np.rint(target / step), LOW, HIGH)
            expected[group, row, order[j]], errors[j] = code, weight - step * code
    assert (gptq_rounding(weights, hessian, grid) == expected).all()


def test_rows_with_their_own_limits_round_as_if_alone() -> None:
    weights, hessian, grid = problem((2, 3, 5))
    low, high = -1 - random_codes((2, 3, 1)) ** 2 // 4, random_codes((2, 3, 1), 1) ** 2 // 4
    codes = gptq_rounding(2 * weights, hessian, RowGrid(grid.steps, low, high))
    assert (codes == low).any()
    assert (codes == high).any()
    for group, row in np.ndindex(2, 3):
        alone = RowGrid(
            grid.steps[[group], row][:, None], int(low[group, row, 0]), int(high[group, row, 0])
        )
        own = FactoredHessian(hessian.matrix[[group]])
        expected = gptq_rounding(2 * weights[[group], row][:, None], own, alone)
        assert (codes[group, row] == expected[0, 0]).all()


@pytest.mark.parametrize("columns", [5, 150, 300])
def test_the_costs_are_those_of_the_codes(columns: int) -> None:
    weights, hessian, grid = problem((2, 3, columns))
    codes, costs = gptq_with_costs(weights, hessian, grid)
    np.testing.assert_allclose(costs, cost(weights, hessian, grid, codes), rtol=1e-4)


def test_the_second_code_is_drawn_as_often_as_its_gap_asks() -> None:
    # One column, w = 0.3: the codes 0 and 1 cost 2 * 0.09 and 2 * 0.49, so the gap is 0.8.
    rows = 20_000
    hessian, weights = FactoredHessian(np.full((1, 1, 1), 2.0)), np.full((1, rows, 1), 0.3)
    temperature = np.full((1, rows), 0.8)
    temperature[0, rows // 2 :] = 1e-9
    sampling = Sampling(np.random.default_rng(0), temperature)
    codes = gptq_with_costs(weights, hessian, unit_grid(rows), sampling).codes[0, :, 0]
    assert set(codes[: rows // 2]) == {0, 1}
    assert codes[: rows // 2].mean() == pytest.approx(1 / (1 + np.e), abs=0.02)
    assert not codes[rows // 2 :].any()


def test_drawn_codes_stay_in_their_range() -> None:
    weights, hessian, grid = problem((2, 20, 6))
    sampling = Sampling(np.random.default_rng(0), np.full((2, 20), 1e3))
    codes = gptq_with_costs(4 * weights, hessian, grid, sampling).codes
    assert (codes.min(), codes.max()) == (LOW, HIGH)
