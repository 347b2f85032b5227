"""The closest grid point against brute force, plain loops and problems worked by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnx_evoq.quantize.grid.closest_point import (
    closest_codes,
    coordinate_descent,
    cost,
    gptq_rounding,
    pair_exchange,
    single_move_costs,
)

Floats = NDArray[np.float64]
LOW, HIGH = -4, 3

shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8))
seeds = st.integers(0, 2**32 - 1)


def problem(
    shape: tuple[int, int, int], seed: int = 0, noise: float = 0.2
) -> tuple[Floats, Floats, Floats]:
    """Weights, a metric of columns that depend on one another the more the less noise, steps."""
    groups, rows, columns = shape
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((groups, columns, max(1, columns // 2)))
    hessian = factors @ factors.transpose(0, 2, 1) + noise * np.eye(columns)
    weights = rng.uniform(-1, 1, shape)
    return weights, hessian, rng.uniform(0.2, 0.4, (groups, rows, 1))


def nearest(weights: Floats, steps: Floats) -> Floats:
    return np.rint(weights / steps).clip(LOW, HIGH)


def ratios(columns: int) -> Floats:
    """Cost of `closest_codes` over the lowest cost there is, row by row of 200."""
    weights, hessian, steps = problem((1, 200, columns), noise=0.05)
    found = cost(weights, hessian, steps, closest_codes(weights, hessian, steps, LOW, HIGH))[0]
    every = np.array(list(product(range(LOW, HIGH + 1), repeat=columns)), np.float64)
    lowest = [
        cost(
            np.broadcast_to(row, (1, *every.shape)), hessian, np.full((1, 1, 1), step), every[None]
        )
        for row, step in zip(weights[0], steps[0, :, 0], strict=True)
    ]
    return found / np.min(lowest, axis=2)[:, 0]


def test_the_cost_of_a_row_worked_by_hand() -> None:
    # error (0.5, -1): 0.25 * 2 + 2 * 0.5 * -1 * 1 + 1 * 3
    hessian = np.array([[[2.0, 1.0], [1.0, 3.0]]])
    codes, weights = np.array([[[1.0, 0.0]]]), np.array([[[0.0, 1.0]]])
    assert cost(weights, hessian, np.full((1, 1, 1), 0.5), codes).tolist() == [[2.5]]


@pytest.mark.parametrize("columns", [1, 2])
def test_one_or_two_columns_cost_as_little_as_by_brute_force(columns: int) -> None:
    assert ratios(columns).max() == pytest.approx(1)


@pytest.mark.parametrize("columns", [3, 4])
def test_few_columns_cost_nearly_as_little_as_by_brute_force(columns: int) -> None:
    found = ratios(columns)
    assert (found < 1 + 1e-9).mean() > 0.95
    assert found.min() > 1 - 1e-9
    assert found.max() < 2


@given(shapes, seeds)
def test_feedback_costs_no_more_than_its_lattice_allows(
    shape: tuple[int, int, int], seed: int
) -> None:
    # Babai's bound: an error of at most half a step along each axis of R, where nothing clips.
    weights, hessian, steps = problem(shape, seed)
    codes = gptq_rounding(weights, hessian, steps, -1000, 1000)
    order = np.argsort(np.diagonal(hessian, axis1=1, axis2=2), axis=1, kind="stable")
    for group, indices in enumerate(order):
        lower = np.linalg.cholesky(hessian[group][np.ix_(indices, indices)])
        bound = (steps[group, :, 0] / 2) ** 2 * (np.diagonal(lower) ** 2).sum()
        assert (cost(weights, hessian, steps, codes)[group] <= bound * (1 + 1e-9)).all()


@given(shapes, seeds)
def test_descent_never_raises_the_cost(shape: tuple[int, int, int], seed: int) -> None:
    weights, hessian, steps = problem(shape, seed)
    codes = np.random.default_rng(seed).integers(LOW, HIGH, shape, endpoint=True).astype(float)
    before = cost(weights, hessian, steps, codes)
    after = cost(
        weights, hessian, steps, coordinate_descent(weights, hessian, steps, codes, LOW, HIGH)
    )
    assert (after <= before * (1 + 1e-9)).all()


@given(shapes, seeds)
def test_exchange_never_raises_the_cost(shape: tuple[int, int, int], seed: int) -> None:
    weights, hessian, steps = problem(shape, seed)
    codes = np.random.default_rng(seed).integers(LOW, HIGH, shape, endpoint=True).astype(float)
    before = cost(weights, hessian, steps, codes)
    after = cost(weights, hessian, steps, pair_exchange(weights, hessian, steps, codes, LOW, HIGH))
    assert (after <= before * (1 + 1e-9)).all()


@given(shapes, seeds)
def test_the_three_steps_cost_no_more_than_the_first(
    shape: tuple[int, int, int], seed: int
) -> None:
    weights, hessian, steps = problem(shape, seed)
    first = cost(weights, hessian, steps, gptq_rounding(weights, hessian, steps, LOW, HIGH))
    found = cost(weights, hessian, steps, closest_codes(weights, hessian, steps, LOW, HIGH))
    assert (found <= first * (1 + 1e-9)).all()


def test_no_row_costs_more_than_by_nearest_rounding() -> None:
    # From feedback alone about one row in two hundred would.
    weights, hessian, steps = problem((20, 50, 8))
    rounded = cost(weights, hessian, steps, nearest(weights, steps))
    found = cost(weights, hessian, steps, closest_codes(weights, hessian, steps, LOW, HIGH))
    assert (found <= rounded * (1 + 1e-9)).all()


@given(shapes, seeds)
def test_no_single_move_is_left_that_lowers_the_cost(
    shape: tuple[int, int, int], seed: int
) -> None:
    weights, hessian, steps = problem(shape, seed)
    codes = closest_codes(weights, hessian, steps, LOW, HIGH)
    least = -1e-8 * cost(weights, hessian, steps, codes)[:, :, None]
    assert all(
        (c >= least).all() for c in single_move_costs(weights, hessian, steps, codes, LOW, HIGH)
    )


@given(shapes, seeds, st.sampled_from([(-2, 1), (-8, 7)]))
def test_codes_are_whole_and_in_their_range(
    shape: tuple[int, int, int], seed: int, limits: tuple[int, int]
) -> None:
    weights, hessian, steps = problem(shape, seed)
    codes = closest_codes(3 * weights, hessian, steps, *limits)
    assert codes.min() >= limits[0]
    assert codes.max() <= limits[1]
    assert (codes == np.rint(codes)).all()


def test_groups_know_nothing_of_each_other() -> None:
    weights, hessian, steps = problem((3, 4, 10))
    together = closest_codes(weights, hessian, steps, LOW, HIGH)
    for k in range(3):
        part = slice(k, k + 1)
        alone = closest_codes(weights[part], hessian[part], steps[part], LOW, HIGH)
        assert (together[part] == alone).all()


def test_rows_know_nothing_of_each_other() -> None:
    weights, hessian, steps = problem((1, 5, 12))
    together = closest_codes(weights, hessian, steps, LOW, HIGH)
    for k in range(5):
        alone = closest_codes(weights[:, [k]], hessian, steps[:, [k]], LOW, HIGH)
        assert (together[:, [k]] == alone).all()


@given(shapes, seeds)
def test_where_columns_are_independent_the_nearest_code_is_the_closest(
    shape: tuple[int, int, int], seed: int
) -> None:
    weights, hessian, steps = problem(shape, seed)
    diagonal = hessian * np.eye(shape[2])
    assert (closest_codes(weights, diagonal, steps, LOW, HIGH) == nearest(weights, steps)).all()


@given(shapes, seeds, st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_grid_that_grows_with_its_weights_keeps_the_codes(
    shape: tuple[int, int, int], seed: int, cholesky_factor: float
) -> None:
    weights, hessian, steps = problem(shape, seed)
    codes = closest_codes(weights, hessian, steps, LOW, HIGH)
    assert (
        closest_codes(cholesky_factor * weights, hessian, cholesky_factor * steps, LOW, HIGH)
        == codes
    ).all()


def test_weights_on_the_grid_stay_there() -> None:
    _, hessian, steps = problem((2, 3, 9))
    codes = np.random.default_rng(1).integers(LOW, HIGH, (2, 3, 9), endpoint=True).astype(float)
    assert (closest_codes(steps * codes, hessian, steps, LOW, HIGH) == codes).all()


def test_feedback_makes_up_for_what_the_column_before_lost() -> None:
    # Both H_jj are 1, so that column 1 comes first: 0.6 -> 1 loses -0.4; 0.6 - 0.9 * 0.4 -> 0.
    hessian = np.array([[[1.0, 0.9], [0.9, 1.0]]])
    codes = gptq_rounding(np.array([[[0.6, 0.6]]]), hessian, np.ones((1, 1, 1)), LOW, HIGH)
    assert codes.tolist() == [[[0, 1]]]


def test_feedback_decides_the_largest_column_first() -> None:
    # 0.6 -> 1 where H_jj = 4; the other column takes 0.6 - 0.4 * 1.8 / 1 = -0.12 -> 0.
    hessian = np.array([[[4.0, 1.8], [1.8, 1.0]]])
    codes = gptq_rounding(np.array([[[0.6, 0.6]]]), hessian, np.ones((1, 1, 1)), LOW, HIGH)
    assert codes.tolist() == [[[1, 0]]]


def test_descent_moves_a_column_by_as_much_as_it_takes() -> None:
    start = np.array([[[-4.0]]])
    codes = coordinate_descent(
        np.full((1, 1, 1), 2.2), np.ones((1, 1, 1)), np.ones((1, 1, 1)), start, -4, 3
    )
    assert codes.item() == 2
    assert start.item() == -4


def test_a_pair_of_moves_is_found_where_no_single_one_helps() -> None:
    # Errors (0.6, -0.6) cost 0.072; (-0.4, 0.4) cost 0.032; one move alone leads to 0.952.
    weights, start = np.array([[[0.4, 0.6]]]), np.array([[[1.0, 0.0]]])
    hessian, step = np.array([[[1.0, 0.9], [0.9, 1.0]]]), np.ones((1, 1, 1))
    assert all((c > 0).all() for c in single_move_costs(weights, hessian, step, start, LOW, HIGH))
    assert (coordinate_descent(weights, hessian, step, start, LOW, HIGH) == start).all()
    assert pair_exchange(weights, hessian, step, start, LOW, HIGH).tolist() == [[[0, 1]]]


def test_a_pair_that_would_leave_the_range_is_not_taken() -> None:
    weights, start = np.array([[[0.4, 0.6]]]), np.array([[[1.0, 0.0]]])
    hessian = np.array([[[1.0, 0.9], [0.9, 1.0]]])
    step = np.ones((1, 1, 1))
    assert (pair_exchange(weights, hessian, step, start, -1, 1) != start).any()
    assert (pair_exchange(weights, hessian, step, start - [0, 1], -1, 0) == [[[0, 0]]]).any()


@given(shapes, seeds)
def test_what_a_move_costs_is_the_difference_of_the_costs(
    shape: tuple[int, int, int], seed: int
) -> None:
    weights, hessian, steps = problem(shape, seed)
    codes = nearest(weights, steps)
    before = cost(weights, hessian, steps, codes)
    both = single_move_costs(weights, hessian, steps, codes, LOW - 1, HIGH + 1)
    for sign, costs in zip((1, -1), both, strict=True):
        for j in range(shape[2]):
            moved = codes + sign * (np.arange(shape[2]) == j)
            change = cost(weights, hessian, steps, moved) - before
            np.testing.assert_allclose(costs[:, :, j], change, atol=1e-9)


def test_a_move_out_of_the_range_costs_infinitely_much() -> None:
    codes = np.array([[[LOW, 0.0, HIGH]]])
    up, down = single_move_costs(codes, np.eye(3)[None], np.ones((1, 1, 1)), codes, LOW, HIGH)
    assert up.tolist() == [[[1, 1, np.inf]]]
    assert down.tolist() == [[[np.inf, 1, 1]]]


def test_feedback_in_blocks_is_the_plain_loop() -> None:
    weights, hessian, steps = problem((1, 3, 150), noise=1.0)
    order = np.argsort(np.diagonal(hessian[0]), kind="stable")
    upper = np.linalg.cholesky(hessian[0][np.ix_(order, order)]).T
    expected = np.zeros((3, 150))
    for row in range(3):
        wanted, step, lost = weights[0, row, order], steps[0, row, 0], np.zeros(150)
        for j in reversed(range(150)):
            target = wanted[j] + upper[j, j + 1 :] @ lost[j + 1 :] / upper[j, j]
            code = np.clip(np.rint(target / step), LOW, HIGH)
            expected[row, order[j]], lost[j] = code, wanted[j] - step * code
    assert (gptq_rounding(weights, hessian, steps, LOW, HIGH)[0] == expected).all()


def test_descent_in_blocks_is_the_plain_loop() -> None:
    weights, hessian, steps = problem((1, 3, 150), noise=1.0)
    start = nearest(weights, steps)
    expected = start[0].copy()
    for row in range(3):
        step = steps[0, row, 0]
        for j in list(range(150)) * 8:
            slope = (step * expected[row] - weights[0, row]) @ hessian[0, :, j]
            ideal = expected[row, j] - slope / (step * hessian[0, j, j])
            expected[row, j] = np.clip(np.rint(ideal), LOW, HIGH)
    assert (coordinate_descent(weights, hessian, steps, start, LOW, HIGH)[0] == expected).all()


@pytest.mark.parametrize("ahead", [1, 7, 10_000])
def test_looking_ahead_changes_no_codes(ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hessian, steps = problem((2, 5, 150), seed=3)
    start = nearest(weights, steps)
    expected = coordinate_descent(weights, hessian, steps, start, LOW, HIGH)
    monkeypatch.setattr("onnx_evoq.quantize.grid.closest_point._AHEAD", ahead)
    found = coordinate_descent(weights, hessian, steps, start, LOW, HIGH)
    assert (found == expected).all()
    assert (found != start).any()


def test_more_columns_than_the_shortlist_holds_are_exchanged_too() -> None:
    weights, hessian, steps = problem((2, 3, 150), noise=1.0)
    start = coordinate_descent(weights, hessian, steps, nearest(weights, steps), LOW, HIGH)
    found = pair_exchange(weights, hessian, steps, start, LOW, HIGH)
    assert cost(weights, hessian, steps, found).sum() < cost(weights, hessian, steps, start).sum()


def test_few_moves_at_once_give_what_many_give(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hessian, steps = problem((2, 5, 12))
    start = nearest(weights, steps)
    expected = pair_exchange(weights, hessian, steps, start, LOW, HIGH)
    monkeypatch.setattr("onnx_evoq.quantize.grid.closest_point._AT_ONCE", 1)
    assert (pair_exchange(weights, hessian, steps, start, LOW, HIGH) == expected).all()


@given(shapes, seeds)
def test_rows_may_have_ranges_of_their_own(shape: tuple[int, int, int], seed: int) -> None:
    weights, hessian, steps = problem(shape, seed)
    bits = np.random.default_rng(seed).integers(2, 6, (*shape[:2], 1))
    low, high = -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    codes = closest_codes(weights, hessian, steps, low, high)
    moves = single_move_costs(weights, hessian, steps, codes, low, high)
    for group, row in np.ndindex(*shape[:2]):
        alone = (
            weights[group, row][None, None], hessian[group][None], steps[group, row][None, None]
        )  # fmt: skip
        ends = int(low[group, row, 0]), int(high[group, row, 0])
        assert (closest_codes(*alone, *ends)[0, 0] == codes[group, row]).all()
        expected = single_move_costs(*alone, codes[group, row][None, None], *ends)
        for move, costs in zip(moves, expected, strict=True):
            np.testing.assert_allclose(move[group, row], costs[0, 0], atol=1e-9)
