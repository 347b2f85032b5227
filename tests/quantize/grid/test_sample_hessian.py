"""The Hessian through few positions against the same one as a matrix."""

import numpy as np
import pytest
from graphs import random
from layer_problems import Floats

from onnx_evoq.quantize.grid.closest_point import closest_codes
from onnx_evoq.quantize.grid.gptq import gptq_with_costs
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost, single_move_costs
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian
from onnx_evoq.quantize.grid.random_restarts import random_restarts
from onnx_evoq.quantize.grid.sample_hessian import SampleHessian

GROUPS, ROWS = 2, 6


def both(
    positions: int, columns: int, seed: int = 0
) -> tuple[SampleHessian, FactoredHessian, Floats, RowGrid]:
    """The Hessian in both forms, weights, and a grid."""
    x = random(GROUPS, positions, columns, seed=seed)
    damping = np.array([0.02, 0.05])
    matrix = x.astype(np.float64).transpose(0, 2, 1) @ x / positions
    matrix += damping[:, None, None] * np.eye(columns)
    weights = random(GROUPS, ROWS, columns, seed=seed + 1).astype(np.float64)
    grid = RowGrid(np.full((GROUPS, ROWS, 1), 0.3), -8, 7)
    return SampleHessian(x, damping), FactoredHessian(matrix), weights, grid


SIZES = [(1, 3), (3, 20), (20, 150), (70, 150)]  # positions, columns


@pytest.mark.parametrize(("positions", "columns"), SIZES)
def test_products_are_those_of_the_matrix(positions: int, columns: int) -> None:
    through, dense, weights, _ = both(positions, columns)
    close = {"rtol": 1e-5, "atol": 1e-5 * columns}
    np.testing.assert_allclose(through.diagonal, dense.diagonal, **close)
    np.testing.assert_allclose(through.times(weights), dense.times(weights), **close)
    np.testing.assert_allclose(through.block(1, 3), dense.block(1, 3), **close)
    group, some = np.array([1, 0]), np.array([[0, 2, 1], [1, 1, 0]])
    np.testing.assert_allclose(through.between(group, some), dense.between(group, some), **close)


@pytest.mark.parametrize(("positions", "columns"), SIZES)
def test_the_gradient_follows_the_errors(positions: int, columns: int) -> None:
    through, dense, weights, _ = both(positions, columns)
    gradient, expected = through.gradient(weights.astype(np.float32)), dense.gradient(weights)
    for each in (gradient, expected):
        each.add(np.ones((GROUPS, ROWS, 2), np.float32), 0, 2)
    close = {"rtol": 1e-4, "atol": 1e-5 * columns}
    np.testing.assert_allclose(gradient.block(1, 3), expected.block(1, 3), **close)


@pytest.mark.parametrize(("positions", "columns"), SIZES)
def test_the_factor_is_that_of_the_matrix(positions: int, columns: int) -> None:
    through, dense, weights, _ = both(positions, columns)
    order = dense.factor.order
    assert (through.factor.order == order).all()
    close = {"rtol": 2e-4, "atol": 2e-4}
    np.testing.assert_allclose(through.factor.pivots, dense.factor.pivots, **close)
    middle = columns // 2
    upper, expected = (np.triu(h.factor.within(0, middle), 1) for h in (through, dense))
    np.testing.assert_allclose(upper, expected, **close)
    fed = []
    for hessian in (through, dense):
        feedback = hessian.factor.feedback(ROWS)
        feedback.add(weights[:, :, middle:].astype(hessian.dtype), middle, columns)
        fed.append(feedback.block(0, middle))
    np.testing.assert_allclose(*fed, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("positions", "columns"), SIZES)
def test_codes_cost_as_little_as_with_the_matrix(positions: int, columns: int) -> None:
    through, dense, weights, grid = both(positions, columns)
    codes, costs = gptq_with_costs(weights, through, grid)
    expected = gptq_with_costs(weights, dense, grid)
    np.testing.assert_allclose(costs, cost(weights, dense, grid, codes), rtol=1e-4)
    assert (codes == expected.codes).mean() > 0.99
    closest = closest_codes(weights, through, grid)
    np.testing.assert_allclose(
        cost(weights, dense, grid, closest).sum(),
        cost(weights, dense, grid, closest_codes(weights, dense, grid)).sum(),
        rtol=1e-2,
    )


def test_costs_of_moves_are_those_of_the_matrix() -> None:
    through, dense, weights, grid = both(20, 60)
    codes = grid.nearest(weights)
    for one, other in zip(
        single_move_costs(weights, through, grid, codes),
        single_move_costs(weights, dense, grid, codes),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_restarts_lower_the_cost_through_positions_too() -> None:
    through, _, weights, grid = both(20, 60)
    codes = gptq_with_costs(weights, through, grid).codes
    found = random_restarts(weights, through, grid, codes, np.random.default_rng(0))
    assert cost(weights, through, grid, found).sum() < cost(weights, through, grid, codes).sum()
