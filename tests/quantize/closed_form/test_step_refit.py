"""Steps refitted to codes, by hand and by their costs."""

import numpy as np
import pytest
from layer_problems import DENSE, problem

from onnx_evoq.quantize import FixedPoint
from onnx_evoq.quantize.closed_form.step_refit import refit_steps
from onnx_evoq.quantize.grid import closest_codes, cost, row_grid
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian


def test_the_step_of_a_row_worked_by_hand() -> None:
    # q = (1, 2) and w = (1.1, 2.0): s = (1.1 + 4) / (1 + 4).
    weights, codes = np.array([[[1.1, 2.0]]]), np.array([[[1.0, 2.0]]])
    grid = FixedPoint(4, np.float32(1))
    refitted, found = refit_steps(
        weights, FactoredHessian(np.eye(2)[None]), DENSE, (1, 2), grid, codes
    )
    assert refitted.step == pytest.approx(1.02)
    assert (found == codes).all()


@pytest.mark.parametrize("axis", [None, 0])
def test_no_channel_costs_more(axis: int | None) -> None:
    shape = (1, 12, 10)
    weights, hessian, _ = problem(shape)
    grid = FixedPoint(3, np.full(() if axis is None else 12, 0.4, np.float32), axis)
    rows = row_grid(grid, DENSE, shape[1:])
    codes = closest_codes(weights, hessian, rows)
    refitted, found = refit_steps(weights, hessian, DENSE, shape[1:], grid, codes)
    before = cost(weights, hessian, rows, codes)
    after = cost(weights, hessian, row_grid(refitted, DENSE, shape[1:]), found)
    if axis == 0:
        assert (after <= before * (1 + 1e-9)).all()
    assert after.sum() < 0.99 * before.sum()
    assert (refitted.bits, refitted.axis) == (3, axis)
    assert refitted.step.dtype == np.float32
    assert refitted.step.shape == grid.step.shape


def test_a_channel_of_zeros_keeps_its_step() -> None:
    weights, grid = np.zeros((1, 2, 3)), FixedPoint(4, np.ones(2, np.float32), 0)
    hessian = FactoredHessian(np.eye(3)[None])
    refitted, found = refit_steps(weights, hessian, DENSE, (2, 3), grid, np.zeros((1, 2, 3)))
    assert refitted.step.tolist() == [1, 1]
    assert not found.any()
