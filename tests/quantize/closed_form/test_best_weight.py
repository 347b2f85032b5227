"""The best float weight against least squares, and the choice of its damping."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, correlated, moments_with, sums_of

from onnx_evoq.quantize import refit
from onnx_evoq.quantize.closed_form.best_weight import (
    choose_damping,
    damped_hessian,
    solve_best_weight,
)
from onnx_evoq.quantize.moments.bias_correction import corrected_bias
from onnx_evoq.quantize.moments.moments import Moments

WHITE = moments_with(np.eye(6)[None], rows=3)
BEST_WEIGHT = "onnx_evoq.quantize.closed_form.best_weight"


def test_without_damping_the_best_weight_is_that_of_least_squares() -> None:
    x, t, weight = correlated(300, 6), random(300, 3, seed=9), random(1, 3, 6, seed=10)
    expected = np.linalg.lstsq(x.astype(np.float64), t.astype(np.float64))[0].T
    found = solve_best_weight(weight.astype(np.float64), sums_of(x, t).moments(), 0.0)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_with_centred_moments_it_is_that_of_least_squares_with_a_constant() -> None:
    x, t = correlated(300, 5) + 3, random(300, 2, seed=9) - 1
    with_one = np.concatenate([x, np.ones((300, 1))], axis=1).astype(np.float64)
    expected = np.linalg.lstsq(with_one, t.astype(np.float64))[0].T
    moments = sums_of(x, t, centred=True).moments()
    found = solve_best_weight(np.zeros((1, 2, 5)), moments, 0.0)
    np.testing.assert_allclose(found[0], expected[:, :5], atol=1e-4)
    np.testing.assert_allclose(corrected_bias(found, moments)[0], expected[:, 5], atol=1e-3)


def test_a_damped_best_weight_worked_by_hand() -> None:
    # H = 2, C = 6, W = 1, d = 1 * 2: W + (6 - 2) / (2 + 2)
    one = np.ones((1, 1, 1))
    moments = Moments(2 * one, 6 * one, np.zeros((1, 1)), np.zeros((1, 1)))
    assert solve_best_weight(one, moments, 1.0).item() == 2


def test_infinite_damping_leaves_the_weight_alone() -> None:
    weight = random(1, 3, 6).astype(np.float64)
    moments = replace(WHITE, cross=np.full((1, 3, 6), 9.0))
    assert (solve_best_weight(weight, moments, float("inf")) == weight).all()


def test_targets_of_the_weight_itself_leave_it_alone() -> None:
    x, weight = correlated(200, 6), random(3, 6, seed=5)
    moments = sums_of(x, x @ weight.T).moments()
    found = solve_best_weight(weight[None].astype(np.float64), moments, 0.03)
    np.testing.assert_allclose(found[0], weight, atol=1e-4)


def test_a_refitted_layer_is_the_best_weight_with_its_bias() -> None:
    # d = 1e-3: W* = 1 + (6 - 2) / 2.002; b = 10 - 3 W*
    one = np.ones((1, 1, 1))
    moments = Moments(2 * one, 6 * one, np.full((1, 1), 3.0), np.full((1, 1), 10.0))
    weight, bias = refit(np.ones((1, 1), np.float32), DENSE, moments)
    assert (weight.dtype, weight.shape, bias.dtype, bias.shape) == (
        np.float32, (1, 1), np.float32, (1,)
    )  # fmt: skip
    best_weight = 1 + 4 / 2.002
    assert weight.item() == pytest.approx(best_weight, rel=1e-6)
    assert bias.item() == pytest.approx(10 - 3 * best_weight, rel=1e-5)


def test_damping_is_a_share_of_the_mean_diagonal_of_each_group() -> None:
    hessian = np.stack([np.diag([1.0, 3.0]), np.diag([10.0, 30.0])]) + 0.5
    damped = damped_hessian(hessian, 0.5)
    assert damped.tolist() == [
        [[2.75, 0.5], [0.5, 4.75]], [[20.75, 0.5], [0.5, 40.75]]
    ]  # fmt: skip
    assert hessian[0, 0, 0] == 1.5


@pytest.mark.parametrize(("diagonal", "damped"), [(0.0, 1.0), (1e-7, 1.0 + 1e-7), (2e-6, 3e-6)])
def test_a_group_without_input_gets_the_identity(diagonal: float, damped: float) -> None:
    hessian = np.stack([np.eye(2), diagonal * np.eye(2)])
    np.testing.assert_allclose(damped_hessian(hessian, 0.5)[1], damped * np.eye(2))


def test_a_layer_without_input_gets_the_identity() -> None:
    assert (damped_hessian(np.zeros((2, 3, 3)), 0.5) == np.eye(3)).all()
    assert damped_hessian(np.full((1, 1, 1), 1e-37), 0.5).item() == 1


def test_few_noisy_targets_ask_for_the_weight_itself() -> None:
    x, weight = random(24, 20), random(3, 20, seed=1)
    t = x @ weight.T + 3 * random(24, 3, seed=2)
    assert choose_damping(weight[None].astype(np.float64), sums_of(x, t).folds()) == np.inf


def test_inputs_that_were_distorted_linearly_ask_for_the_smallest_damping() -> None:
    before, weight = correlated(400, 6), random(3, 6, seed=3)
    distorted = before @ (np.eye(6) + random(6, 6, seed=4) / 5).astype(np.float32)
    folds = sums_of(distorted, before @ weight.T).folds()
    assert choose_damping(weight[None].astype(np.float64), folds) == 3e-5


def test_it_is_a_tenth_of_the_damping_that_fits_the_other_half_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{BEST_WEIGHT}.DAMPINGS", (30.0, 0.3, 60.0))
    x, weight = correlated(400, 6), random(3, 6, seed=3)
    folds = sums_of(x, 2 * x @ weight.T).folds()
    assert choose_damping(weight[None].astype(np.float64), folds) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("damping", "share"),
    [
        *((damping, 0.1) for damping in (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)),
        (3.0, 0.3), (10.0, 1.0), (30.0, 1.0),
    ],
)  # fmt: skip
def test_a_tenth_of_small_dampings_is_chosen_and_all_of_large_ones(
    damping: float, share: float
) -> None:
    # W = 0. The first half has H = 1 and C = 1, so w = 1 / (1 + d). The other half, a million times
    # as large, is fitted best by w = 1 / (1 + damping).
    one = moments_with(np.ones((1, 1, 1)))
    first = replace(one, cross=np.ones((1, 1, 1)))
    second = replace(one, hessian=1e6 * one.hessian, cross=1e6 * one.hessian / (1 + damping))
    assert choose_damping(np.zeros((1, 1, 1)), (first, second)) == pytest.approx(damping * share)


def test_each_half_is_judged_on_the_other() -> None:
    # H = 1 and W = 0. What one half asks for, the other does not: the gain of one is the loss of
    # the other, for all dampings.
    one = moments_with(np.ones((1, 1, 1)))
    pull, push = (replace(one, cross=np.full((1, 1, 1), c)) for c in (1.0, -1.0))
    assert choose_damping(np.zeros((1, 1, 1)), (pull, push)) == np.inf
    # E|W x - t|^2 less E|t|^2 is w^2 - 2 C w. For w1 = 1 / (1 + d) and w2 = 3 / (1 + d) it sums to
    # 10 / (1 + d)^2 - 12 / (1 + d), which is lowest at d = 2 / 3; of all dampings, at 1.
    larger = replace(one, cross=np.full((1, 1, 1), 3.0))
    assert choose_damping(np.zeros((1, 1, 1)), (pull, larger)) == pytest.approx(0.1)


@pytest.mark.parametrize(("change", "kept"), [(1 + 5e-4, True), (1 + 2e-3, False)])
def test_a_tiny_gain_is_not_worth_a_change(change: float, kept: bool) -> None:
    # H = 1, W = 1 and C = c: W gains (c - 1)^2 of a loss of about 1, which is 2.5e-7 or 4e-6.
    one = np.ones((1, 1, 1))
    half = replace(moments_with(one), cross=change * one)
    assert (choose_damping(one, (half, half)) == np.inf) == kept


def test_one_chunk_is_too_little_to_choose_from() -> None:
    x = random(50, 4)
    folds = sums_of(x, x, chunks=1).folds()
    assert choose_damping(np.zeros((1, 4, 4)), folds) == np.inf


@pytest.mark.parametrize(("most", "expected"), [(6, 3e-5), (5, 0.03)])
def test_many_columns_get_one_of_few_dampings_or_none(
    most: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{BEST_WEIGHT}.MANY_COLUMNS", most)
    x, weight = correlated(400, 6), random(3, 6, seed=3)
    matrix = weight[None].astype(np.float64)
    assert choose_damping(matrix, sums_of(x, 2 * x @ weight.T).folds()) == expected
    noisy = x @ weight.T + random(400, 3, seed=5)
    assert choose_damping(matrix, sums_of(x, noisy).folds()) == np.inf


def test_many_columns_are_judged_on_the_second_half_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{BEST_WEIGHT}.MANY_COLUMNS", 0)
    one = moments_with(np.ones((1, 1, 1)))
    small, large = (replace(one, cross=np.full((1, 1, 1), c)) for c in (1.0, 3.0))
    assert choose_damping(np.zeros((1, 1, 1)), (small, large)) == 0.03
    assert choose_damping(np.zeros((1, 1, 1)), (large, small)) == 3
