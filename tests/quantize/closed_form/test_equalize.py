"""Scales between layers: costs as steps shrink, and the scales that they ask for."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize import Dense, Profile, Window, choose_scales, round_alone
from onnx_evoq.quantize.closed_form.equalize import PER_OCTAVE
from onnx_evoq.quantize.closed_form.moments import Moments

DENSE = Dense(transposed=False)
STEPS = 25  # three octaves of eighths, and the largest


def moments(columns: int, rows: int, seed: int = 0) -> Moments:
    cholesky_factor = random(1, columns, columns, seed=seed).astype(np.float64)
    hessian = cholesky_factor @ cholesky_factor.transpose(0, 2, 1)
    return Moments(
        hessian, np.zeros((1, rows, columns)), np.zeros((1, columns)), np.zeros((1, rows))
    )


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


def test_a_scale_that_no_layer_has_stays_one() -> None:
    assert choose_scales([profile(10, 1)], 3)[[0, 2]].tolist() == [1, 1]


def test_no_layers_ask_for_nothing() -> None:
    assert choose_scales([], 2).tolist() == [1, 1]


def test_a_reader_asks_for_the_reciprocal() -> None:
    # Inputs that are half as large make the weight twice as large and its step, in effect, half.
    assert eighths([profile(10, -1, [0])], 1) == [-2]


def test_of_two_layers_the_more_important_one_decides() -> None:
    assert eighths([profile(10, 0, importance=1000), profile(8, -1, [0])], 1) == [2]
    assert eighths([profile(10, 0), profile(8, -1, [0], importance=1000)], 1) == [0]


def test_equals_meet_half_way() -> None:
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


@pytest.mark.parametrize("seed", range(5))
def test_the_scale_that_is_chosen_lowers_what_rounding_costs(seed: int) -> None:
    weight, seen, grids = (
        random(8, 6, seed=seed),
        moments(6, 8, seed),
        slice(None, None, PER_OCTAVE),
    )
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
    seen = Moments(
        np.diag([1.0, 2, 3, 4])[None], np.zeros((1, 3, 4)), np.zeros((1, 4)), np.zeros((1, 3))
    )
    assert round_alone(random(3, 2, 2), layer, seen, 4).weights.tolist() == [3, 7]


def test_many_columns_are_taken_as_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, seen = random(5, 6), moments(6, 5)
    diagonal = Moments(seen.hessian * np.eye(6), seen.cross, seen.x_mean, seen.t_mean)
    exact = round_alone(weight, DENSE, diagonal, 4).costs
    monkeypatch.setattr("onnx_evoq.quantize.closed_form.equalize._INDEPENDENT_ABOVE", 5)
    np.testing.assert_allclose(round_alone(weight, DENSE, seen, 4).costs, exact)


def test_some_rows_stand_for_all() -> None:
    weight, seen = np.tile(random(1, 6), (200, 1)), moments(6, 200)
    each = round_alone(weight[:1], DENSE, seen, 4).costs
    found = round_alone(weight, DENSE, seen, 4)
    np.testing.assert_allclose(found.costs, each * len(weight[::4]))
    assert found.values.shape == weight.shape


def test_a_weight_of_zeros_costs_nothing() -> None:
    found = round_alone(np.zeros((5, 6), np.float32), DENSE, moments(6, 5), 4)
    assert not found.values.any()
    assert not found.costs.any()
