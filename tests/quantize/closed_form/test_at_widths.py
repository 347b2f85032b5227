"""A layer at several widths, by itself, against reconstruction and by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize import Dense, Window, quantize_at_widths
from onnx_evoq.quantize.closed_form.moments import Moments, MomentSums

DENSE = Dense(transposed=False)  # a weight (rows, columns) is its matrix
WIDTHS = (2, 4, 8)


def moments_of(x: NDArray, weight: NDArray, bias: NDArray | None = None) -> Moments:
    """Moments of columns (positions, columns) and of what the layer makes of them."""
    sums = MomentSums(centred=bias is not None)
    t = x @ weight.T + (0 if bias is None else bias)
    for columns, targets in zip(np.array_split(x, 2), np.array_split(t, 2), strict=True):
        sums.add(columns[None].astype(np.float32), targets[None].astype(np.float32))
    return sums.moments()


X = random(200, 6) @ random(6, 6, seed=1) + 1
WEIGHT = random(3, 6, seed=2)
BIAS = random(3, seed=3)
MOMENTS = moments_of(X, WEIGHT, BIAS)


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("scale", ["pow2", "float"])
def test_wider_codes_err_less(axis: int | None, scale: str) -> None:
    variants = quantize_at_widths(WEIGHT, DENSE, MOMENTS, WIDTHS, axis, scale)  # type: ignore[arg-type]
    assert list(variants) == list(WIDTHS)
    for narrow, wide in pairwise(variants.values()):
        assert (wide.costs < narrow.costs).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_values_lie_on_a_grid_of_that_width(bits: int) -> None:
    values = quantize_at_widths(WEIGHT, DENSE, MOMENTS, [bits])[bits].values
    step = next(s for s in 2.0 ** np.arange(4, -20, -1) if not (values % s).any())
    codes = values / step
    assert codes.min() >= -(2 ** (bits - 1))
    assert codes.max() <= 2 ** (bits - 1) - 1


def test_the_bias_keeps_the_mean_of_the_output() -> None:
    variant = quantize_at_widths(WEIGHT, DENSE, MOMENTS, [3])[3]
    mean = (X @ variant.values.T + variant.bias).mean(axis=0)
    np.testing.assert_allclose(mean, (X @ WEIGHT.T + BIAS).mean(axis=0), rtol=1e-4)


def test_without_a_bias_there_is_no_mean_to_keep() -> None:
    variant = quantize_at_widths(WEIGHT, DENSE, moments_of(X, WEIGHT), [3])[3]
    assert not variant.bias.any()


def test_the_output_is_closer_than_that_of_nearest_rounding() -> None:
    variant = quantize_at_widths(WEIGHT, DENSE, MOMENTS, [3])[3]
    step = 2.0 ** np.ceil(np.log2(np.abs(WEIGHT).max())) / 4
    rounded = step * np.clip(np.rint(WEIGHT / step), -4, 3)
    centred = X - X.mean(axis=0)
    ours, theirs = (np.mean((centred @ (w - WEIGHT).T) ** 2) for w in (variant.values, rounded))
    assert ours < 0.7 * theirs


def test_costs_are_the_errors_of_each_output() -> None:
    # With H = I, and so 1.03 I with damping, a cost is 1.03 times the squared error of a row.
    moments = Moments(np.eye(6)[None], np.zeros((1, 3, 6)), np.zeros((1, 6)), np.zeros((1, 3)))
    variant = quantize_at_widths(WEIGHT, DENSE, moments, [4])[4]
    error = ((variant.values - WEIGHT) ** 2).sum(axis=1)
    np.testing.assert_allclose(variant.costs, 1.03 * error, rtol=1e-4)


def test_for_independent_columns_it_is_nearest_rounding_with_the_best_step() -> None:
    weight = np.array([[0.3, -0.9, 0.55, 0.1]], np.float32)
    moments = Moments(np.eye(4)[None], np.zeros((1, 1, 4)), np.zeros((1, 4)), np.zeros((1, 1)))
    values = quantize_at_widths(weight, DENSE, moments, [4])[4].values
    np.testing.assert_array_equal(values, [[0.25, -0.875, 0.5, 0.125]])  # 0.55 -> 4.4 steps


def test_a_split_column_is_two_halves_added_up() -> None:
    # The largest weight, 8, is 4 + 4: so the step may be half as large for all others.
    weight = np.array([[7.0, 0.6, 0.4]], np.float32)
    moments = Moments(np.eye(3)[None], np.zeros((1, 1, 3)), np.zeros((1, 3)), np.zeros((1, 1)))
    plain = quantize_at_widths(weight, DENSE, moments, [4])[4].values
    split = quantize_at_widths(weight, DENSE, moments, [4], split=[0])[4].values
    np.testing.assert_array_equal(plain, [[7, 1, 0]])
    np.testing.assert_array_equal(split, [[7, 0.5, 0.5]])


def test_splitting_outliers_lowers_the_error() -> None:
    weight = WEIGHT.copy()
    weight[:, 2] *= 10
    moments = moments_of(X, weight, BIAS)
    plain, split = (quantize_at_widths(weight, DENSE, moments, [3], split=s)[3] for s in ((), (2,)))
    assert split.costs.sum() < plain.costs.sum()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_8_bits_of_a_convolution_are_close_to_its_weight(transposed: bool, groups: int) -> None:
    layer = Window((2, 3), (1, 1), (1, 1), (0,) * 4, groups, transposed)
    weight = random(4, 2, 2, 3, seed=5)
    _, rows, columns = layer.matrix(weight).shape
    moments = Moments(
        np.stack([np.eye(columns)] * groups), np.zeros((groups, rows, columns)),
        np.zeros((groups, columns)), np.zeros((groups, rows)),
    )  # fmt: skip
    variant = quantize_at_widths(weight, layer, moments, [8], axis=1 if transposed else 0)[8]
    np.testing.assert_allclose(variant.values, weight, atol=np.abs(weight).max() / 64)
    assert variant.costs.shape == variant.bias.shape == (groups * rows,)


def test_moments_stay_as_they_are() -> None:
    before = replace(MOMENTS, hessian=MOMENTS.hessian.copy())
    quantize_at_widths(WEIGHT, DENSE, MOMENTS, [2, 3], split=[1])
    np.testing.assert_array_equal(MOMENTS.hessian, before.hessian)
