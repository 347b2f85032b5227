"""Pair exchange by hand and against brute force over all pairs of moves."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from layer_problems import HIGH, LOW, Floats, problem, random_codes, seeds, shapes, unit_grid

from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import cost, single_move_costs
from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian
from onnx_evoq.quantize.grid.pair_exchange import pair_exchange

CORRELATED = FactoredHessian(np.array([[[1.0, 0.9], [0.9, 1.0]]]))


def lowest_after_a_pair(
    weights: Floats, hessian: FactoredHessian, grid: RowGrid, codes: Floats
) -> Floats:
    """The lowest cost of each row after a pair of moves within the limits, (groups, rows)."""
    columns, lowest = codes.shape[2], np.full(codes.shape[:2], np.inf)
    moves = [sign * np.eye(columns)[j] for j in range(columns) for sign in (1, -1)]
    for one in moves:
        for other in moves:
            moved = codes + one + other
            inside = ((moved >= grid.low) & (moved <= grid.high)).all(axis=2)
            if np.abs(one + other).max() < 2:
                costs = cost(weights, hessian, grid, moved)
                lowest = np.minimum(lowest, np.where(inside, costs, np.inf))
    return lowest


def test_a_pair_of_moves_is_found_where_no_single_one_helps() -> None:
    # Errors (0.6, -0.6) cost 0.072; (-0.4, 0.4) cost 0.032; one move alone leads to 0.952.
    weights, start, grid = np.array([[[0.4, 0.6]]]), np.array([[[1.0, 0.0]]]), unit_grid()
    assert all((c > 0).all() for c in single_move_costs(weights, CORRELATED, grid, start))
    assert (coordinate_descent(weights, CORRELATED, grid, start) == start).all()
    assert pair_exchange(weights, CORRELATED, grid, start).tolist() == [[[0, 1]]]
    assert start.tolist() == [[[1, 0]]]


@pytest.mark.parametrize(("low", "high"), [(-1, 0), (0, 0)])
def test_a_pair_that_would_leave_the_range_is_not_taken(low: int, high: int) -> None:
    weights, start = np.array([[[-0.6, 0.6]]]), np.array([[[0.0, 0.0]]])
    expected = pair_exchange(weights, CORRELATED, unit_grid(1, -1, 1), start)
    assert expected.tolist() == [[[-1, 1]]]
    assert pair_exchange(weights, CORRELATED, unit_grid(1, low, high), start).max() <= high


@settings(max_examples=50)
@given(shapes, seeds)
def test_exchange_never_raises_the_cost(shape: tuple[int, int, int], seed: int) -> None:
    weights, hessian, grid = problem(shape, seed)
    codes = random_codes(shape, seed)
    before = cost(weights, hessian, grid, codes)
    after = cost(weights, hessian, grid, pair_exchange(weights, hessian, grid, codes))
    assert (after <= before * (1 + 1e-9)).all()


@pytest.mark.parametrize("seed", range(3))
def test_it_ends_where_no_move_and_no_pair_lowers_the_cost(seed: int) -> None:
    shape = (2, 10, 5)
    weights, hessian, grid = problem(shape, seed, noise=0.05)
    start = grid.nearest(weights)
    found = pair_exchange(weights, hessian, grid, start)
    after = cost(weights, hessian, grid, found)
    assert (lowest_after_a_pair(weights, hessian, grid, found) >= after * (1 - 1e-8)).all()
    for costs in single_move_costs(weights, hessian, grid, found):
        assert (costs >= -1e-8 * after[:, :, None]).all()
    assert (found != start).any()


def test_a_row_makes_at_most_four_moves_per_column_and_shortlist() -> None:
    hessian, start = FactoredHessian(np.ones((1, 1, 1))), np.zeros((1, 1, 1))
    found = pair_exchange(np.full((1, 1, 1), 50.0), hessian, unit_grid(1, -99, 99), start)
    assert found.item() == 4 * 8


def test_moves_end_at_the_limit_of_a_code() -> None:
    # The shortlist of one column holds both moves; the one up may be made three times.
    hessian, start = FactoredHessian(np.ones((1, 1, 1))), np.zeros((1, 1, 1))
    assert pair_exchange(np.full((1, 1, 1), 50.0), hessian, unit_grid(), start).item() == HIGH
    assert pair_exchange(np.full((1, 1, 1), -50.0), hessian, unit_grid(), start).item() == LOW


def test_a_tiny_gain_is_not_worth_a_move() -> None:
    # Column 0 holds the cost of 1e4; a move in column 1 gains a share of 5e-7 or 4e-6 of it.
    for error, moves in ((0.5 + 2.5e-3, False), (0.5 + 2e-2, True)):
        hessian = FactoredHessian(np.diag([4e4, 1.0])[None])
        weights, start = np.array([[[0.5 - 1e-12, error]]]), np.zeros((1, 1, 2))
        found = pair_exchange(weights, hessian, unit_grid(), start)
        assert found.tolist() == [[[0, float(moves)]]]


@pytest.mark.parametrize(
    ("columns", "cheaper", "exchanged"),
    [(128, 62, True), (128, 63, False), (129, 30, True), (129, 31, False)],
)
def test_pairs_are_tried_among_the_cheapest_moves(
    columns: int, cheaper: int, exchanged: bool
) -> None:
    # The pair of columns 0 and 1 gains. `cheaper` other columns have single moves that cost less
    # than one of the pair, and the rest costs more.
    hessian = np.eye(columns)[None]
    hessian[0, :2, :2] = CORRELATED.matrix[0]
    weights, start = np.zeros((1, 1, columns)), np.zeros((1, 1, columns))
    weights[0, 0, :2], weights[0, 0, 2 : 2 + cheaper] = (-0.6, 0.6), 0.3
    found = pair_exchange(weights, FactoredHessian(hessian), unit_grid(), start)
    assert found[0, 0, :2].tolist() == ([-1, 1] if exchanged else [0, 0])
    assert not found[0, 0, 2:].any()


def test_few_rows_at_once_give_what_many_give(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hessian, grid = problem((2, 5, 12))
    start = grid.nearest(weights)
    expected = pair_exchange(weights, hessian, grid, start)
    for pairs in (1, 2 * (2 * 12) ** 2, 3 * (2 * 12) ** 2):
        monkeypatch.setattr(
            sys.modules["onnx_evoq.quantize.grid.pair_exchange"], "_PAIRS_AT_ONCE", pairs
        )
        assert (pair_exchange(weights, hessian, grid, start) == expected).all()


def test_rows_with_their_own_limits_are_exchanged_as_if_alone() -> None:
    weights, hessian, grid = problem((2, 3, 5), noise=0.05)
    low, high = -1 - random_codes((2, 3, 1)) ** 2 // 4, random_codes((2, 3, 1), 1) ** 2 // 4
    start = np.zeros((2, 3, 5))
    found = pair_exchange(2 * weights, hessian, RowGrid(grid.steps, low, high), start)
    assert found.min() < LOW or found.max() >= HIGH
    for group, row in np.ndindex(2, 3):
        alone = RowGrid(
            grid.steps[[group], row][:, None], int(low[group, row, 0]), int(high[group, row, 0])
        )
        own, weight = FactoredHessian(hessian.matrix[[group]]), 2 * weights[[group], row][:, None]
        expected = pair_exchange(weight, own, alone, np.zeros((1, 1, 5)))
        assert (found[group, row] == expected[0, 0]).all()


@pytest.mark.parametrize(("columns", "exchanged"), [(1200, True), (1201, False)])
def test_codes_of_many_columns_stay_as_they_are(columns: int, exchanged: bool) -> None:
    weights, hessian = np.zeros((1, 1, columns)), FactoredHessian(np.eye(columns)[None])
    grid = RowGrid(np.ones((1, 1, 1)), -8, 7)
    start = np.zeros((1, 1, columns))
    start[0, 0, 3] = 1.0  # costs more than 0
    found = pair_exchange(weights, hessian, grid, start)
    assert (found[0, 0, 3] == 0) == exchanged
