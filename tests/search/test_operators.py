"""Mutation and selection of integer codes."""

import numpy as np
import pytest

from onnx_evoq.search.operators import best_of, mutate


def test_the_share_of_codes_that_move_is_the_rate() -> None:
    parents = np.zeros((200, 500), np.int8)
    children = mutate(parents, 0.02, -100, 100, np.random.default_rng(0))
    assert (children != 0).mean() == pytest.approx(0.02, abs=0.001)


def test_steps_have_the_odds_of_the_paper() -> None:
    parents = np.zeros((200, 500), np.int8)
    children = mutate(parents, 1.0, -100, 100, np.random.default_rng(0))
    shares = {step: (children == step).mean() for step in (-2, -1, 0, 1, 2)}
    expected = {-2: 0.1, -1: 0.4, 0: 0.0, 1: 0.4, 2: 0.1}
    assert shares == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("low", "high"), [(-2, 1), (-8, 7), (-128, 127)])
def test_codes_stay_within_their_range(low: int, high: int) -> None:
    parents = np.tile(np.array([low, high], np.int8), (50, 20))
    children = mutate(parents, 1.0, low, high, np.random.default_rng(0))
    assert children.min() == low
    assert children.max() == high


def test_parents_are_left_alone() -> None:
    parents = np.zeros((3, 5), np.int8)
    mutate(parents, 1.0, -8, 7, np.random.default_rng(0))
    assert not parents.any()


def test_every_child_moves_at_least_one_code() -> None:
    parents = np.zeros((100, 3), np.int8)
    children = mutate(parents, 0.01, -8, 7, np.random.default_rng(0))
    assert children.any(axis=1).all()


def test_the_same_seed_gives_the_same_children() -> None:
    parents = np.zeros((4, 50), np.int8)
    one, two = (mutate(parents, 0.2, -8, 7, np.random.default_rng(5)) for _ in range(2))
    assert (one == two).all()


def test_nan_is_the_worst_and_ties_keep_their_order() -> None:
    assert best_of(np.array([np.nan, 2.0, 1.0, 2.0, np.inf]), 5).tolist() == [2, 1, 3, 0, 4]
