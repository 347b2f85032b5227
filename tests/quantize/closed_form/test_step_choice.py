"""The step of the lowest cost, on rows made for it."""

import numpy as np
import pytest
from layer_problems import DENSE, Floats, problem

from onnx_evoq.quantize import GridSpec
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid.closest_point import closest_codes
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian

STEP_CHOICE = "onnx_evoq.quantize.closed_form.step_choice"


def outlier(rows: int, value: float) -> Floats:
    """Rows of 100 weights of 0.5, the first of each `value`."""
    matrix = np.full((1, rows, 100), 0.5)
    matrix[:, :, 0] = value
    return matrix


def steps_for(
    matrix: Floats, axis: int | None = None, scale: str = "pow2", first: float = 1.0
) -> list[float]:
    """The steps for independent columns, of which the first one has H_jj = `first`."""
    shape, spec = matrix.shape[1:], GridSpec(4, axis, scale)  # type: ignore[arg-type]
    hessian = np.eye(shape[1])[None]
    hessian[0, 0, 0] = first
    chosen = choose_steps(matrix, FactoredHessian(hessian), DENSE, shape, spec, descending=True)
    assert (chosen.bits, chosen.axis) == (4, axis)
    assert chosen.step.dtype == np.float32
    assert chosen.step.shape == (() if axis is None else (shape[0],))
    return chosen.step.reshape(-1).tolist()


def test_an_outlier_is_clipped_if_that_helps_the_other_weights() -> None:
    # Step 1 costs 99 * 0.5^2 in each row; 0.5 costs (4.5 - 3.5)^2; 0.25 costs (4.5 - 1.75)^2.
    assert steps_for(outlier(2, 4.5)) == [0.5]


def test_rows_count_by_the_error_relative_to_their_output() -> None:
    matrix = outlier(2, 4.5)
    matrix[0, 1:] = np.resize([-8.0, 7.0], 100)  # asks for 1, and each of its weights is larger
    matrix = np.concatenate([matrix[:, :1], matrix[:, 1:], outlier(2, 4.5)], axis=1)
    assert steps_for(matrix) == [0.5]


def test_a_step_that_fits_all_stays() -> None:
    assert steps_for(np.arange(-8.0, 8.0)[None, None] + np.zeros((1, 2, 1))) == [1]


def test_per_channel_each_channel_has_its_own_step() -> None:
    matrix = outlier(3, 4.5)
    matrix[0, 1], matrix[0, 2] = 1.75, np.resize(np.arange(-8.0, 8.0), 100)
    assert steps_for(matrix, axis=0) == [0.5, 0.25, 1]


@pytest.mark.parametrize(("rows", "expected"), [(64, 1.0), (65, 0.5), (128, 0.5), (129, 1.0)])
def test_every_nth_row_of_a_tall_matrix_chooses_for_all(rows: int, expected: float) -> None:
    # Every second row asks for 0.5, and all others, more strongly, for 1.
    matrix = outlier(rows, 7.5)
    matrix[:, 1::2] = np.resize([-8.0, 7.0], 100)
    assert steps_for(matrix) == [expected]


def test_float_steps_are_shares_of_the_one_that_covers_the_range() -> None:
    # A row costs 99 * 0.3^2 + 1.4^2 = 10.9 at 0.8; 99 * 0.2^2 + 2.1^2 = 8.4 at 0.7; and at 0.6
    # 99 * 0.1^2 + 2.8^2 = 8.8.
    assert steps_for(outlier(2, 7.0), scale="float") == pytest.approx([0.7])


@pytest.mark.parametrize(
    ("scale", "share"),
    [
        *(("pow2", share) for share in (1.0, 0.5, 0.25, 0.125)),
        *(
            ("float", share)
            for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.28, 0.22, 0.17, 0.13)
        ),
    ],
)
def test_each_share_is_chosen_for_weights_that_it_fits(scale: str, share: float) -> None:
    # The first weight has the covering step 1, and counts little. All others lie on the grid of
    # that share.
    matrix = np.append(7.0, share * np.arange(-7.0, 8.0))[None, None]
    assert steps_for(matrix, scale=scale, first=1e-3) == pytest.approx([share])


def test_steps_stay_normal_float32_numbers() -> None:
    matrix = outlier(1, 4.5) * 2.0**-126
    assert steps_for(matrix) == [2.0**-126]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("few", [False, True])
def test_steps_are_compared_by_the_codes_that_they_lead_to(
    few: bool, descending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{STEP_CHOICE}._FEW_COLUMNS", 8 if few else 7)
    monkeypatch.setattr(f"{STEP_CHOICE}._MOST_AT_ONCE", 300)  # rows in parts
    weights, hessian, _ = problem((1, 100, 8), noise=0.05)
    weights **= 3  # some are small
    spec = GridSpec(2, 0)
    chosen = choose_steps(weights, hessian, DENSE, (100, 8), spec, descending=descending)
    largest = 2.0 ** np.ceil(np.log2(np.abs(weights).max(axis=2, keepdims=True))) / 2
    shares, costs, alone = np.array([1, 0.5, 0.25, 0.125]), [], []
    pivots = hessian.factor.pivots[0][np.argsort(hessian.factor.order[0])]
    for share in shares:
        grid = RowGrid(share * largest, -2, 1)
        codes = gptq_rounding(weights, hessian, grid)
        if descending and few:
            codes = closest_codes(weights, hessian, grid)
        elif descending:
            codes = coordinate_descent(weights, hessian, grid, codes, sweeps=1)
        costs.append(cost(weights, hessian, grid, codes)[0])
        errors = grid.steps * grid.nearest(weights) - weights
        alone.append((errors[0] ** 2 * pivots).sum(axis=1))
    rank = np.argsort(np.argsort(alone, axis=0, kind="stable"), axis=0)
    competing = np.full(rank.shape, True) if few else rank < 2
    best = np.argmin(np.where(competing, costs, np.inf), axis=0)
    assert (chosen.step == largest[0, :, 0] * shares[best]).all()
    assert (best != np.argmin(alone, axis=0)).any()


def test_channels_with_their_own_widths_are_rounded_within_them() -> None:
    # Step 1 holds all of these at 4 bits; at 2 bits the covering step of 4 rounds them to 0 and 4.
    matrix = np.resize(np.arange(-8.0, 8.0), (1, 2, 96))
    hessian, spec = FactoredHessian(np.eye(96)[None]), GridSpec((4, 2), axis=0)
    chosen = choose_steps(matrix, hessian, DENSE, (2, 96), spec, descending=False)
    assert chosen.bits == (4, 2)
    assert chosen.step.tolist() == [1, 4]
