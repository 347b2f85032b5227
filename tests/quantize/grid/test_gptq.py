"""GPTQ rounding by hand, against a plain loop and against Babai's bound."""

import numpy as np
import pytest
from layer_problems import HIGH, LOW, problem, random_codes, unit_grid

from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import FactoredHessian, cost


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
