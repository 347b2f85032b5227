"""Costs of rows and of moves, by hand and by their definition."""

import numpy as np
import pytest
from layer_problems import Floats, problem, random_codes, unit_grid

from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost, single_move_costs
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian


def test_the_cost_of_a_row_worked_by_hand() -> None:
    # error (0.5, -1): 0.25 * 2 + 2 * 0.5 * -1 * 1 + 1 * 3
    hessian = FactoredHessian(np.array([[[2.0, 1.0], [1.0, 3.0]]]))
    codes, weights = np.array([[[1.0, 0.0]]]), np.array([[[0.0, 1.0]]])
    grid = RowGrid(np.full((1, 1, 1), 0.5), -4, 3)
    assert cost(weights, hessian, grid, codes).tolist() == [[2.5]]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5)])
def test_a_move_costs_the_difference_of_the_costs(shape: tuple[int, int, int]) -> None:
    weights, hessian, grid = problem(shape)
    grid, codes = RowGrid(grid.steps, -9, 9), random_codes(shape)
    before = cost(weights, hessian, grid, codes)
    both = single_move_costs(weights, hessian, grid, codes)
    for sign, costs in zip((1, -1), both, strict=True):
        for j in range(shape[2]):
            moved = codes + sign * (np.arange(shape[2]) == j)
            change = cost(weights, hessian, grid, moved) - before
            np.testing.assert_allclose(costs[:, :, j], change, atol=1e-9)


def test_a_move_out_of_the_range_costs_infinitely_much() -> None:
    codes, hessian = np.array([[[-4, 0.0, 3]]]), FactoredHessian(np.eye(3)[None])
    up, down = single_move_costs(codes, hessian, unit_grid(), codes)
    assert up.tolist() == [[[1, 1, np.inf]]]
    assert down.tolist() == [[[np.inf, 1, 1]]]


def test_each_row_may_have_its_own_range() -> None:
    codes, hessian = np.array([[[1.0], [1.0]]]), FactoredHessian(np.eye(1)[None])
    limits: tuple[Floats, Floats] = np.array([[[-2.0], [1.0]]]), np.array([[[1.0], [7.0]]])
    up, down = single_move_costs(codes, hessian, RowGrid(np.ones((1, 2, 1)), *limits), codes)
    assert up.tolist() == [[[np.inf], [1]]]
    assert down.tolist() == [[[1], [np.inf]]]
