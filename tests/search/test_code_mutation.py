"""Mutation and selection of integer codes."""

import numpy as np
import pytest

from onnx_evoq.search.code_mutation import best_of, mutate

ZEROS = np.zeros((200, 500), np.int8)


def test_the_share_of_codes_that_move_is_the_rate() -> None:
    child = mutate(ZEROS, 0.02, -100, 100, np.random.default_rng(0))
    assert (child != 0).mean() == pytest.approx(0.02, abs=0.001)


def test_the_number_of_codes_that_move_is_binomial() -> None:
    rng = np.random.default_rng(0)
    parent = np.zeros(50, np.int8)
    moved = np.array([np.count_nonzero(mutate(parent, 0.3, -9, 9, rng)) for _ in range(1000)])
    assert moved.mean() == pytest.approx(50 * 0.3, abs=0.4)
    assert moved.var() == pytest.approx(50 * 0.3 * 0.7, abs=1.6)


def test_all_codes_are_equally_likely_to_move() -> None:
    rng = np.random.default_rng(0)
    parent = np.zeros(20, np.int8)
    counts = np.sum([mutate(parent, 0.2, -9, 9, rng) != 0 for _ in range(1000)], axis=0)
    assert counts == pytest.approx(np.full(20, 200), abs=55)  # four deviations


def test_moves_have_the_odds_of_the_paper() -> None:
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


def test_ranges_may_differ_from_code_to_code() -> None:
    low, high = np.array([[-2], [-8]], np.int16), np.array([[1], [7]], np.int16)
    child = np.zeros((2, 400), np.int8)
    for seed in range(20):
        child = mutate(child, 1.0, low, high, np.random.default_rng(seed))
    assert child.min(axis=1).tolist() == [-2, -8]
    assert child.max(axis=1).tolist() == [1, 7]


def test_a_range_per_code_acts_like_one_range_for_all() -> None:
    parent, (low, high) = np.zeros((4, 5), np.int8), (-2, 1)
    each = np.full((4, 5), low, np.int16), np.full((4, 5), high, np.int16)
    one, other = (mutate(parent, 0.5, *ends, np.random.default_rng(7)) for ends in ((-2, 1), each))
    assert (one == other).all()


def test_the_parent_is_not_changed() -> None:
    parent = np.zeros((3, 5), np.int8)
    assert mutate(parent, 1.0, -8, 7, np.random.default_rng(0)).shape == (3, 5)
    assert not parent.any()


def test_every_child_moves_at_least_one_code() -> None:
    rng = np.random.default_rng(0)
    assert all(mutate(np.zeros(3, np.int8), 0.01, -8, 7, rng).any() for _ in range(100))


def test_the_same_seed_gives_the_same_child() -> None:
    one, two = (mutate(ZEROS, 0.2, -8, 7, np.random.default_rng(5)) for _ in range(2))
    assert (one == two).all()


def test_nan_is_the_worst_and_ties_keep_their_order() -> None:
    assert best_of(np.array([np.nan, 2.0, 1.0, 2.0, np.inf]), 5).tolist() == [2, 1, 3, 0, 4]
