"""Rounding that keeps the sums of kernels and rows."""

from itertools import product

import numpy as np
import pytest
from graphs import conv_net, random

from onnx_evoq.model import find_layers, find_weights, fold_batch_norm, load
from onnx_evoq.quantize import (
    Dense,
    QuantizedWeight,
    Window,
    cost_with_sums,
    fit,
    nearest,
    sum_preserving_roundings,
)
from onnx_evoq.quantize.grid.sum_preserving import keep_sums
from onnx_evoq.quantize.weights.fixed_point import FixedPoint

ROWS = Dense("...k,nk->...n")
KERNELS = Window((3,), (1,), (1,), (0, 0))
GRID = FixedPoint(4, np.float32(1))


def test_the_codes_closest_to_a_tie_move() -> None:
    values = np.array([[0.45, 0.4, 0.3, -0.2]])  # sums to 0.95, rounds to 0
    assert keep_sums(values, np.zeros((1, 4)), -8, 7).tolist() == [[1, 0, 0, 0]]


def test_sums_end_within_one_half() -> None:
    values = random(40, 9).astype(np.float64)
    kept = keep_sums(values, np.rint(values), -8, 7)
    assert np.abs((kept - values).sum(axis=1)).max() <= 0.5
    assert np.abs(kept - np.rint(values)).max() == 1


def test_no_rounding_with_that_sum_is_closer() -> None:
    for row in random(20, 5, seed=3).astype(np.float64):
        kept = keep_sums(row, np.rint(row), -8, 7)
        others = [np.floor(row) + np.array(up) for up in product((0, 1), repeat=5)]
        rivals = [other for other in others if other.sum() == kept.sum()]
        best = min(float(np.square(other - row).sum()) for other in rivals)
        assert np.square(kept - row).sum() == pytest.approx(best)


def test_a_share_takes_back_a_part() -> None:
    values = np.full((1, 10), 0.4)  # four are missing
    assert keep_sums(values, np.zeros((1, 10)), -8, 7, 0.5).sum() == 2


def test_codes_stay_within_their_range() -> None:
    values = np.array([[1.4, 1.4, 0.4, 1.4]])
    assert keep_sums(values, np.array([[1.0, 1, 0, 1]]), -2, 1).tolist() == [[1, 1, 1, 1]]


def test_roundings_differ_from_each_other_and_from_nearest() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    weight = next(weight for weight in find_weights(model)[0] if weight.name == "w2")
    layer = find_layers(model, [weight])["w2"]
    grid = fit(weight.values, 3)
    start = QuantizedWeight(nearest(weight.values, grid), grid)
    found = sum_preserving_roundings(weight.values, start, layer.linear)
    assert len(found) > 2
    assert len({codes.tobytes() for codes in [start.codes, *found]}) == len(found) + 1
    errors = found[0] - weight.values / grid.step  # the sums of kernels alone
    assert np.abs(errors.sum(axis=(2, 3))).max() <= 0.5


def test_roundings_restore_all_or_half_of_the_sums_of_kernels_and_rows() -> None:
    # Eight kernels of three taps in each of four rows, all in units of the step.
    values = random(4, 8, 3) + np.float32(0.3)
    start = QuantizedWeight(nearest(values, GRID), GRID)
    every: list[np.ndarray] = []
    for kernels, rows in [(1, 0), (0, 1), (1, 1), (0.5, 0), (0, 0.5), (0.5, 0.5), (1, 0.5)]:
        codes = keep_sums(values.astype(np.float64), start.codes.astype(np.float64), -8, 7, kernels)
        flat = codes.reshape(4, 24)
        every.append(keep_sums(values.astype(np.float64).reshape(4, 24), flat, -8, 7, rows))
    found = sum_preserving_roundings(values, start, KERNELS)
    assert [codes.reshape(4, 24).tolist() for codes in found] == [one.tolist() for one in every]
    assert {codes.dtype for codes in found} == {np.dtype(np.int8)}


def test_a_weight_on_its_grid_has_no_other_rounding() -> None:
    values = np.array([[1.0, -2], [3, 0]], np.float32)
    grid = FixedPoint(4, np.float32(1))
    start = QuantizedWeight(nearest(values, grid), grid)
    assert sum_preserving_roundings(values, start, ROWS) == []


def test_channels_keep_their_own_widths() -> None:
    values = random(2, 30)
    grid = fit(values, (2, 5), axis=0)
    low, high = grid.limits_for(2)
    for codes in sum_preserving_roundings(
        values, QuantizedWeight(nearest(values, grid), grid), ROWS
    ):
        assert (low <= codes).all()
        assert (codes <= high).all()


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 3)])
def test_costs_are_the_differences_of_the_error(shape: tuple[int, ...]) -> None:
    # A dense layer's kernels have one tap; the convolution's have three.
    values, grid = random(*shape), FixedPoint(4, np.float32(0.5))
    codes, layer = nearest(values, grid), ROWS if len(shape) == 2 else KERNELS

    def error(codes: np.ndarray) -> float:
        errors = (codes - values.astype(np.float64) / 0.5).reshape(2, -1, layer.taps)
        alone, rows = np.square(errors).sum(), np.square(errors.sum(axis=(1, 2))).sum()
        return float(0.6 * alone + 0.3 * np.square(errors.sum(axis=2)).sum() + 0.1 * rows)

    up, down = cost_with_sums(values, QuantizedWeight(codes, grid), layer)
    for index in np.ndindex(*shape):
        move = np.zeros(shape)
        move[index] = 1
        assert up[index] == pytest.approx(error(codes + move) - error(codes))
        assert down[index] == pytest.approx(error(codes - move) - error(codes))
