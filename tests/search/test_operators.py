"""Mutation and selection of integer codes."""

import numpy as np
import pytest

from onnx_evoq.search.operators import best_of, mutate, mutate_by_cost

ZEROS = np.zeros((200, 500), np.int8)


def test_the_share_of_codes_that_move_is_the_rate() -> None:
    child = mutate(ZEROS, 0.02, -100, 100, np.random.default_rng(0))
    assert (child != 0).mean() == pytest.approx(0.02, abs=0.001)


def test_the_number_of_codes_that_move_is_binomial() -> None:
    rng = np.random.default_rng(0)
    parent = np.zeros(50, np.int8)
    moved = np.array([np.count_nonzero(mutate(parent, 0.3, -9, 9, rng)) for _ in range(4000)])
    assert moved.mean() == pytest.approx(50 * 0.3, abs=0.2)
    assert moved.var() == pytest.approx(50 * 0.3 * 0.7, abs=0.8)


def test_every_place_is_as_likely_as_any_other() -> None:
    rng = np.random.default_rng(0)
    parent = np.zeros(20, np.int8)
    counts = np.sum([mutate(parent, 0.2, -9, 9, rng) != 0 for _ in range(4000)], axis=0)
    assert counts == pytest.approx(np.full(20, 800), abs=120)  # four deviations


def test_steps_have_the_odds_of_the_paper() -> None:
    child = mutate(ZEROS, 1.0, -100, 100, np.random.default_rng(0))
    shares = {step: (child == step).mean() for step in (-2, -1, 0, 1, 2)}
    expected = {-2: 0.1, -1: 0.4, 0: 0.0, 1: 0.4, 2: 0.1}
    assert shares == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("low", "high"), [(-2, 1), (-8, 7), (-128, 127)])
def test_codes_stay_within_their_range(low: int, high: int) -> None:
    parent = np.tile(np.array([low, high], np.int8), (50, 20))
    child = mutate(parent, 1.0, low, high, np.random.default_rng(0))
    assert child.min() == low
    assert child.max() == high


def test_ranges_may_differ_from_place_to_place() -> None:
    low, high = np.array([[-2], [-8]], np.int16), np.array([[1], [7]], np.int16)
    child = np.zeros((2, 400), np.int8)
    for seed in range(20):
        child = mutate(child, 1.0, low, high, np.random.default_rng(seed))
    assert child.min(axis=1).tolist() == [-2, -8]
    assert child.max(axis=1).tolist() == [1, 7]


def test_one_range_may_be_told_for_each_place() -> None:
    parent, (low, high) = np.zeros((4, 5), np.int8), (-2, 1)
    each = np.full((4, 5), low, np.int16), np.full((4, 5), high, np.int16)
    one, other = (mutate(parent, 0.5, *ends, np.random.default_rng(7)) for ends in ((-2, 1), each))
    assert (one == other).all()


def test_the_parent_is_left_alone() -> None:
    parent = np.zeros((3, 5), np.int8)
    assert mutate(parent, 1.0, -8, 7, np.random.default_rng(0)).shape == (3, 5)
    assert not parent.any()


def test_every_child_moves_at_least_one_code() -> None:
    rng = np.random.default_rng(0)
    assert all(mutate(np.zeros(3, np.int8), 0.01, -8, 7, rng).any() for _ in range(100))


def test_the_same_seed_gives_the_same_child() -> None:
    one, two = (mutate(ZEROS, 0.2, -8, 7, np.random.default_rng(5)) for _ in range(2))
    assert (one == two).all()


def test_by_cost_the_cheap_move_is_drawn() -> None:
    up, down = np.full((2, 4), 1e6, np.float32), np.full((2, 4), 1e6, np.float32)
    up[0, 1], down[1, 2], up[1, 3] = 1, 1, 1  # 3 of 16: what a tenth stays below is 1
    child = mutate_by_cost(np.zeros((2, 4), np.int8), up, down, 50, np.random.default_rng(0))
    assert child.tolist() == [[0, 1, 0, 0], [0, 0, -1, 1]]


def test_by_cost_odds_fall_with_the_exponential_of_the_cost() -> None:
    # Up costs 1 for nine codes, so that t = 1, and 2 for the tenth, whose odds are e times less.
    up, down = np.ones(10, np.float32), np.full(10, np.inf, np.float32)
    up[9] = 2
    rng = np.random.default_rng(0)
    parent = np.zeros(10, np.int8)
    counts = np.sum([mutate_by_cost(parent, up, down, 1, rng) for _ in range(8000)], axis=0)
    assert counts[9] / counts[:9].mean() == pytest.approx(np.exp(-1), abs=0.05)


def test_by_cost_moves_that_lower_the_cost_are_as_likely_as_those_for_nothing() -> None:
    up, down = np.array([-5, 0], np.float32), np.full(2, np.inf, np.float32)
    rng = np.random.default_rng(0)
    parent = np.zeros(2, np.int8)
    counts = np.sum([mutate_by_cost(parent, up, down, 1, rng) for _ in range(4000)], axis=0)
    assert counts == pytest.approx([2000, 2000], abs=130)


def test_by_cost_the_number_of_moves_is_one_and_poisson() -> None:
    costs, rng = np.ones(5000, np.float32), np.random.default_rng(0)
    parent = np.zeros(5000, np.int8)
    moved = np.array(
        [np.count_nonzero(mutate_by_cost(parent, costs, costs, 4, rng)) for _ in range(1000)]
    )
    assert moved.min() == 1
    assert moved.mean() == pytest.approx(4, abs=0.25)
    assert moved.var() == pytest.approx(3, abs=0.6)


def test_by_cost_no_forbidden_move_is_made() -> None:
    parent = np.tile(np.array([-8, 7], np.int8), 20)
    up = np.where(parent < 7, 1, np.inf).astype(np.float32)
    down = np.where(parent > -8, 1, np.inf).astype(np.float32)
    child = mutate_by_cost(parent, up, down, 1000, np.random.default_rng(0))
    assert child.tolist() == [-7, 6] * 20


@pytest.mark.parametrize("seed", range(20))
def test_by_cost_codes_move_by_one_and_at_least_one_does(seed: int) -> None:
    # Up and down of one code would undo each other: only one of them is made.
    costs = np.ones(2, np.float32)
    child = mutate_by_cost(np.zeros(2, np.int8), costs, costs, 5, np.random.default_rng(seed))
    assert np.abs(child).max() == 1


def test_by_cost_the_parent_is_left_alone() -> None:
    parent, costs = np.zeros((3, 5), np.int8), np.ones((3, 5), np.float32)
    assert mutate_by_cost(parent, costs, costs, 9, np.random.default_rng(0)).shape == (3, 5)
    assert not parent.any()


def test_by_cost_the_same_seed_gives_the_same_child() -> None:
    costs = np.ones((20, 50), np.float32)
    one, two = (
        mutate_by_cost(np.zeros((20, 50), np.int8), costs, costs, 9, np.random.default_rng(5))
        for _ in range(2)
    )
    assert (one == two).all()


def test_nan_is_the_worst_and_ties_keep_their_order() -> None:
    assert best_of(np.array([np.nan, 2.0, 1.0, 2.0, np.inf]), 5).tolist() == [2, 1, 3, 0, 4]
