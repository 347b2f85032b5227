"""Random restarts never raise the cost, and lower it where rounding is hard."""

import sys

import numpy as np
import pytest
from layer_problems import Floats, lowest_costs, problem

from onnx_evoq.quantize.grid.closest_point import closest_codes
from onnx_evoq.quantize.grid.hessian import cost
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian
from onnx_evoq.quantize.grid.random_restarts import random_restarts


def restarted(
    shape: tuple[int, int, int], noise: float = 0.05, **others: int
) -> tuple[Floats, Floats]:
    """The costs of the closest codes, and those after restarts."""
    weights, hessian, grid = problem(shape, noise=noise)
    codes = closest_codes(weights, hessian, grid)
    before = codes.copy()
    found = random_restarts(weights, hessian, grid, codes, np.random.default_rng(0), **others)
    assert (codes == before).all()
    assert (found == np.rint(found)).all()
    return cost(weights, hessian, grid, codes), cost(weights, hessian, grid, found)


def test_restarts_lower_the_cost_of_many_rows_and_raise_none() -> None:
    before, after = restarted((2, 20, 24))
    assert (after <= before).all()
    assert after.sum() < 0.97 * before.sum()
    assert 0.2 < (after < before).mean() < 1


def test_rows_of_few_columns_reach_the_lowest_cost() -> None:
    weights, hessian, grid = problem((1, 100, 4), noise=0.01)
    start = np.zeros(weights.shape)
    found = random_restarts(weights, hessian, grid, start, np.random.default_rng(0))
    lowest = lowest_costs(weights, hessian, grid)
    assert (cost(weights, hessian, grid, found)[0] < lowest * (1 + 1e-9)).mean() > 0.97


def test_one_copy_is_enough_to_run() -> None:
    before, after = restarted((1, 3, 5), copies=1)
    assert (after <= before).all()


def test_the_same_seed_gives_the_same_codes() -> None:
    weights, hessian, grid = problem((2, 5, 12))
    start = grid.nearest(weights)
    one, other = (
        random_restarts(weights, hessian, grid, start, np.random.default_rng(7)) for _ in range(2)
    )
    assert (one == other).all()


def test_rows_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    most = []

    def counted(weights: Floats, hessian: FactoredHessian, *others: object) -> object:
        most.append(weights.shape[1])
        return original(weights, hessian, *others)  # type: ignore[arg-type]

    module = sys.modules["onnx_evoq.quantize.grid.random_restarts"]
    original = module.gptq_with_costs
    monkeypatch.setattr(module, "gptq_with_costs", counted)
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 2 * 25 * 12 + 1)
    weights, hessian, grid = problem((1, 5, 12))
    start = grid.nearest(weights)
    random_restarts(weights, hessian, grid, start, np.random.default_rng(0))
    assert most == [50, 50, 25]
