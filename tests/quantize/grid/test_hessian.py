"""Costs of rows and of moves, and the Cholesky factor, by hand and by their definitions."""

import numpy as np
import pytest
from layer_problems import Floats, problem, random_codes, unit_grid

from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import (
    FactoredHessian,
    cholesky,
    cost,
    single_move_costs,
)


def test_the_cost_of_a_row_worked_by_hand() -> None:
    # error (0.5, -1): 0.25 * 2 + 2 * 0.5 * -1 * 1 + 1 * 3
    hessian = FactoredHessian(np.array([[[2.0, 1.0], [1.0, 3.0]]]))
    codes, weights = np.array([[[1.0, 0.0]]]), np.array([[[0.0, 1.0]]])
    grid = RowGrid(np.full((1, 1, 1), 0.5), -4, 3)
    assert cost(weights, hessian, grid, codes).tolist() == [[2.5]]


def test_the_factor_sorts_columns_by_their_diagonal() -> None:
    # Sorted, H = [[1, 1.8], [1.8, 4]] = R^T R with R = [[1, 1.8], [0, 0.87]].
    factor = FactoredHessian(np.array([[[4.0, 1.8], [1.8, 1.0]]])).factor
    assert factor.order.tolist() == [[1, 0]]
    np.testing.assert_allclose(factor.lower, [[[1, 0], [1.8, 1]]], atol=1e-12)
    np.testing.assert_allclose(factor.pivots, [[1, 0.76]], atol=1e-12)


def test_columns_with_the_same_diagonal_keep_their_order() -> None:
    assert FactoredHessian(np.eye(40)[None]).factor.order.tolist() == [list(range(40))]


@pytest.mark.parametrize("columns", [6, 300])
def test_the_sorted_hessian_is_the_factor_times_the_pivots_times_the_factor(columns: int) -> None:
    _, hessian, _ = problem((2, 1, columns))
    factor = hessian.factor
    for matrix, order, pivots, lower in zip(
        hessian.matrix, factor.order, factor.pivots, factor.lower, strict=True
    ):
        product = (lower * pivots) @ lower.T
        np.testing.assert_allclose(product, matrix[np.ix_(order, order)], atol=1e-5 * columns)
        assert (np.diag(lower) == 1).all()
        assert (np.triu(lower, 1) == 0).all()


@pytest.mark.parametrize("columns", [3, 256, 257, 400])
def test_the_factor_of_many_columns_is_that_of_numpy(columns: int) -> None:
    matrix = problem((1, 1, columns))[1].matrix[0]
    np.testing.assert_allclose(cholesky(matrix.copy()), np.linalg.cholesky(matrix), atol=1e-9)


@pytest.mark.parametrize(("columns", "dtype"), [(256, np.float64), (257, np.float32)])
def test_many_columns_are_multiplied_in_float32(columns: int, dtype: type) -> None:
    hessian = FactoredHessian(np.eye(columns)[None])
    assert hessian.times(np.ones((1, 2, columns))).dtype == dtype
    assert hessian.factor.lower.dtype == dtype


def test_blocks_of_the_gradient_follow_the_errors() -> None:
    _, hessian, _ = problem((2, 3, 7))
    error = random_codes((2, 3, 7)).copy()
    gradient = hessian.gradient(error.copy())
    gradient.add(np.ones((2, 3, 2)), 1, 3)
    error[:, :, 1:3] += 1
    expected = error @ hessian.matrix
    np.testing.assert_allclose(hessian.times(error), expected, rtol=1e-9)
    np.testing.assert_allclose(gradient.block(2, 6), expected[:, :, 2:6], rtol=1e-9)
    assert (hessian.block(2, 6) == hessian.matrix[:, 2:6, 2:6]).all()


def test_each_row_has_the_hessian_between_its_own_columns() -> None:
    _, hessian, _ = problem((2, 1, 5))
    between = hessian.between(np.array([1, 0]), np.array([[0, 3], [4, 4]]))
    assert (between[0] == hessian.matrix[1][np.ix_([0, 3], [0, 3])]).all()
    assert (between[1] == hessian.matrix[0, 4, 4]).all()


def test_the_factor_is_computed_once() -> None:
    hessian = FactoredHessian(np.eye(2)[None])
    assert hessian.factor is hessian.factor


def test_the_diagonal_is_that_of_each_group() -> None:
    hessian = FactoredHessian(np.stack([np.diag([1.0, 2]), np.full((2, 2), 3.0)]))
    assert hessian.diagonal.tolist() == [[1, 2], [3, 3]]


@pytest.mark.parametrize("columns", [5, 300])
def test_damping_that_is_given_beside_the_matrix_acts_as_if_it_were_in_it(columns: int) -> None:
    matrix, added = problem((2, 1, columns))[1].matrix, np.array([0.5, 2.0])
    beside = FactoredHessian(matrix, added)
    within = FactoredHessian(matrix + added[:, None, None] * np.eye(columns))
    error = random_codes((2, 3, columns))
    assert (beside.diagonal == within.diagonal).all()
    assert (beside.times(error) == within.times(error)).all()
    assert (beside.block(1, 4) == within.block(1, 4)).all()
    assert (beside.factor.order == within.factor.order).all()
    assert (beside.factor.lower == within.factor.lower).all()
    assert (beside.factor.pivots == within.factor.pivots).all()


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
