"""Scales between layers: costs as steps get smaller, and the scales of the lowest costs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, moments_with
from numpy.typing import NDArray

from onnx_evoq.quantize import Profile, Window, choose_scales, round_alone
from onnx_evoq.quantize.moments.moments import Moments
from onnx_evoq.quantize.scales.equalize import PER_OCTAVE

STEPS = 25  # three octaves of eighths, and the largest


def moments(columns: int, rows: int, seed: int = 0) -> Moments:
    factor = random(1, columns, columns, seed=seed).astype(np.float64)
    return moments_with(factor @ factor.transpose(0, 2, 1), rows)


def profile(
    best: float, output: int, inputs: Sequence[int] = (-1,), importance: float = 1.0
) -> Profile:
    """A layer whose best step lies so many eighths of an octave below the largest."""
    costs = 1 + (np.arange(STEPS) - best) ** 2
    return Profile(costs, output, np.array(inputs), np.ones(len(inputs)), importance)


def eighths(profiles: Sequence[Profile], count: int) -> list[float]:
    scales: NDArray[np.float64] = np.log2(choose_scales(profiles, count)) * PER_OCTAVE
    return scales.round(9).tolist()


@pytest.mark.parametrize(("best", "expected"), [(8, 0), (10, 2), (16, 0), (7, -1), (5, -3), (3, 3)])
def test_a_lone_layer_moves_to_its_best_step(best: int, expected: int) -> None:
    assert eighths([profile(best, 0)], 1) == [expected]


def test_equal_costs_leave_scales_alone() -> None:
    flat = Profile(np.ones(STEPS), 0, np.array([-1]), np.ones(1), 1.0)
    assert choose_scales([flat], 1).tolist() == [1]


def test_a_scale_without_a_layer_stays_one() -> None:
    assert choose_scales([profile(10, 1)], 3)[[0, 2]].tolist() == [1, 1]


def test_without_layers_all_scales_are_one() -> None:
    assert choose_scales([], 2).tolist() == [1, 1]


def test_a_layer_that_reads_scaled_inputs_asks_for_the_reciprocal() -> None:
    # Inputs that are half as large make the weight twice as large and its step, in effect, half.
    assert eighths([profile(10, -1, [0])], 1) == [-2]


def test_of_two_layers_the_more_important_one_decides() -> None:
    assert eighths([profile(10, 0, importance=1000), profile(8, -1, [0])], 1) == [2]
    assert eighths([profile(10, 0), profile(8, -1, [0], importance=1000)], 1) == [0]


def test_two_layers_of_equal_importance_meet_half_way() -> None:
    assert eighths([profile(10, 0), profile(8, -1, [0])], 1) == [1]


def test_a_chain_of_layers_puts_each_on_its_best_step() -> None:
    # log2 s_0 = 1/8, as the first is worth ten of the other; then log2 s_1 - log2 s_0 = 2/8.
    assert eighths([profile(9, 0, importance=10), profile(10, 1, [0])], 2) == [1, 3]


def test_several_inputs_count_by_their_share() -> None:
    # All of the rounding error comes through scale 0.
    reader = Profile(profile(10, -1).costs, -1, np.array([0, 1]), np.array([1.0, 0.0]), 1.0)
    assert eighths([reader, profile(8, 1)], 2) == [-2, 0]


def test_inputs_of_one_scale_count_as_one() -> None:
    assert eighths([profile(10, -1, [0, 0])], 1) == [-2]


def test_a_power_of_two_step_costs_what_the_ideal_one_costs_unscaled() -> None:
    # A weight scaled by s on steps of 2^-n is the weight itself on steps of 2^-n / s.
    weight, seen, k = np.clip(random(4, 6) / 2, -1.1, 1.1).astype(np.float32), moments(6, 4), 2
    weight[0, 0] = 1.1
    scale = 2.0 ** (k / PER_OCTAVE)
    scaled = round_alone(np.float32(scale * weight), DENSE, seen, 4).costs / scale**2
    alone = round_alone(weight, DENSE, seen, 4).costs
    np.testing.assert_allclose(scaled[:-k], alone[k:], rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_chosen_scale_lowers_the_rounding_cost(seed: int) -> None:
    weight, seen = random(8, 6, seed=seed), moments(6, 8, seed)
    grids = slice(None, None, PER_OCTAVE)
    before = round_alone(weight, DENSE, seen, 4).costs
    scale = choose_scales([Profile(before, 0, np.array([-1]), np.ones(1), 1.0)], 1)[0]
    after = round_alone((scale * weight).astype(np.float32), DENSE, seen, 4).costs
    lower = after[grids].min() / scale**2
    assert lower < before[grids].min() if scale != 1 else lower == before[grids].min()


def test_values_are_on_a_power_of_two_grid() -> None:
    values = round_alone(random(8, 6), DENSE, moments(6, 8), 4).values
    mantissa, exponent = np.frexp(np.abs(values[values != 0]).min())
    codes = values / np.ldexp(1.0, exponent - 1)
    assert mantissa == 0.5
    assert (codes == np.rint(codes)).all()


def test_the_error_is_that_of_the_output() -> None:
    weight, x = random(5, 6), random(200, 6) + 1
    centred = x - x.mean(axis=0)
    seen = Moments(
        (centred.T @ centred / 200).astype(np.float64)[None],
        np.zeros((1, 5, 6)), x.mean(axis=0).astype(np.float64)[None], np.zeros((1, 5)),
    )  # fmt: skip
    found = round_alone(weight, DENSE, seen, 4)
    error = x @ (found.values - weight).T
    assert found.error == pytest.approx((error**2).mean(axis=0).sum(), rel=1e-4)


def test_the_share_of_an_input_channel_is_that_of_its_taps() -> None:
    layer = Window((2,), (1,), (1,), (0, 0))
    seen = moments_with(np.diag([1.0, 2, 3, 4])[None], rows=3)
    assert round_alone(random(3, 2, 2), layer, seen, 4).input_shares.tolist() == [3, 7]


def test_many_columns_are_taken_as_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, seen = random(5, 6), moments(6, 5)
    diagonal = Moments(seen.hessian * np.eye(6), seen.cross, seen.x_mean, seen.t_mean)
    exact = round_alone(weight, DENSE, diagonal, 4).costs
    columns = "onnx_evoq.quantize.scales.equalize.MANY_COLUMNS"
    monkeypatch.setattr(columns, 5)
    np.testing.assert_allclose(round_alone(weight, DENSE, seen, 4).costs, exact)
    monkeypatch.setattr(columns, 6)
    assert (round_alone(weight, DENSE, seen, 4).costs < exact).any()


@pytest.mark.parametrize(("rows", "counted"), [(64, 64), (65, 33), (200, 50)])
def test_about_64_rows_stand_for_all(rows: int, counted: int) -> None:
    weight, seen = np.tile(random(1, 6), (rows, 1)), moments(6, rows)
    each = round_alone(weight[:1], DENSE, seen, 4).costs
    found = round_alone(weight, DENSE, seen, 4)
    np.testing.assert_allclose(found.costs, each * counted)
    assert found.values.shape == weight.shape


def test_costs_are_those_of_steps_that_shrink_by_eighths_of_an_octave() -> None:
    # With H = 1, and so 1.03 with damping, a cost is 1.03 times the squared error. The range asks
    # for 2^0 / 8.
    weight, seen = np.float32([[0.9]]), moments_with(np.ones((1, 1, 1)))
    steps = 0.125 * 2.0 ** (-np.arange(25) / 8)
    error = steps * np.clip(np.rint(0.9 / steps), -8, 7) - 0.9
    found = round_alone(weight, DENSE, seen, 4)
    np.testing.assert_allclose(found.costs, 1.03 * error**2, rtol=1e-3, atol=1e-9)
    assert found.values.tolist() == [[0.875]]
    assert found.error == pytest.approx(0.025**2, rel=1e-4)


def test_codes_fill_the_signed_range() -> None:
    weight, seen = np.float32([[1.0, -1.0]]), moments_with(np.eye(2)[None])
    assert round_alone(weight, DENSE, seen, 2).values.tolist() == [[0.5, -1]]


def test_the_error_of_a_layer_without_a_bias_has_no_mean_of_its_own() -> None:
    # H is E[x x^T] itself then, and holds the mean.
    weight = np.float32([[0.9]])
    for centred, mean in ((True, 2.0**2), (False, 0.0)):
        seen = replace(
            moments_with(np.ones((1, 1, 1))), x_mean=np.full((1, 1), 2.0), centred=centred
        )
        assert round_alone(weight, DENSE, seen, 4).error == pytest.approx(
            0.025**2 * (1 + mean), rel=1e-4
        )


def test_scales_are_found_in_as_many_passes_as_it_takes() -> None:
    # Each layer reads the outputs of the next one, and asks for 1/8 octave more than that has.
    chain = [profile(9, 2, importance=100), profile(9, 1, [2], 10), profile(9, 0, [1], 1)]
    assert eighths(chain, 3) == [3, 2, 1]


def test_a_weight_of_zeros_costs_nothing() -> None:
    found = round_alone(np.zeros((5, 6), np.float32), DENSE, moments(6, 5), 4)
    assert not found.values.any()
    assert not found.costs.any()


def test_no_step_is_taken_beyond_those_that_were_tried() -> None:
    # One layer needs its largest step. A scale of 2/8 octaves, which the other asks for, would put
    # the next whole octave at a step that is larger than all that were tried.
    needs_largest = Profile(1.0 + np.arange(25), 0, np.array([-1]), np.ones(1), 1.0)
    asks = Profile(1 + 0.1 * np.abs(np.arange(25) - 2.0), 0, np.array([-1]), np.ones(1), 1.0)
    assert choose_scales([needs_largest, asks], 1).tolist() == [1.0]
    assert choose_scales([asks], 1) == pytest.approx([2.0**0.25])
