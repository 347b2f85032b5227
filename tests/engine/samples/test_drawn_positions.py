"""Positions that are drawn alike, or by weights."""

import numpy as np
import pytest

from onnx_evoq.engine.samples.drawn_positions import (
    drawn_by_weight,
    drawn_positions,
    slopes_of_scores,
)


def test_positions_that_are_drawn_alike_come_once_and_in_order() -> None:
    at = drawn_positions(50, 20, np.random.default_rng(0))
    assert len(set(at.tolist())) == 20
    assert (np.diff(at) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_position_is_drawn_as_often_as_its_weight_asks_for_up_to_one(seed: int) -> None:
    weights = np.random.default_rng(7).random(30) + 0.01
    counts = np.bincount(drawn_by_weight(weights, 100, np.random.default_rng(seed)), minlength=30)
    assert counts.sum() == 100
    assert (np.abs(counts - 100 * weights / weights.sum()) <= 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_equal_weights_draw_each_position_once(seed: int) -> None:
    at = drawn_by_weight(np.full(30, 0.3), 30, np.random.default_rng(seed))
    assert at.tolist() == list(range(30))


def test_a_position_counts_by_the_squared_slope_of_its_steepest_row() -> None:
    # (groups, samples * positions, rows): two samples of two positions
    logits = np.array([[[0, 9], [40, 40], [40, -40], [-40, 40]]], np.float32)
    np.testing.assert_allclose(slopes_of_scores(logits, 2), [0.05 + 1 / 2, 0.05], atol=1e-3)
    half = np.log(np.array([[[3.0], [3.0]]], np.float32))  # scores of 3/4: a slope of 3/16
    np.testing.assert_allclose(slopes_of_scores(half, 1), 0.05 + (3 / 4) ** 2, rtol=1e-5)


def test_large_logits_give_no_warning() -> None:
    assert slopes_of_scores(np.full((1, 2, 1), -1e4, np.float32), 1).tolist() == [0.05, 0.05]
