"""A layer at several widths: by hand, against nearest rounding, and what splitting gains."""

from itertools import pairwise

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, moments_with, problem, sums_of

from onnx_evoq.quantize import GridSpec, LayerAtWidth, Scale, Window, quantize_at_widths
from onnx_evoq.quantize.closed_form.best_weight import factored
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.gptq import gptq_rounding
from onnx_evoq.quantize.grid.grid_rows import row_grid
from onnx_evoq.quantize.moments.moments import Moments

WIDTHS = (2, 4, 8)
X = random(200, 6) @ random(6, 6, seed=1) + 1
WEIGHT = random(3, 6, seed=2)
BIAS = random(3, seed=3)
MOMENTS = sums_of(X, X @ WEIGHT.T + BIAS, centred=True, chunks=2).moments()


def at_width(
    bits: int, moments: Moments = MOMENTS, weight: np.ndarray = WEIGHT, split: tuple[int, ...] = ()
) -> LayerAtWidth:
    """A dense layer at one width with one step."""
    (variant,) = quantize_at_widths(weight, DENSE, moments, [GridSpec(bits)], split)
    return variant


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("scale", ["pow2", "float"])
def test_wider_codes_have_smaller_errors(axis: int | None, scale: Scale) -> None:
    specs = [GridSpec(bits, axis, scale) for bits in WIDTHS]
    variants = quantize_at_widths(WEIGHT, DENSE, MOMENTS, specs)
    assert len(variants) == len(WIDTHS)
    for narrow, wide in pairwise(variants):
        assert (wide.costs < narrow.costs).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_values_lie_on_a_grid_of_that_width(bits: int) -> None:
    values = at_width(bits).values
    assert values.dtype == np.float32
    step = next(s for s in 2.0 ** np.arange(4, -20, -1) if not (values % s).any())
    codes = values / step
    assert codes.min() >= -(2 ** (bits - 1))
    assert codes.max() <= 2 ** (bits - 1) - 1


def test_the_bias_keeps_the_mean_of_the_output() -> None:
    variant = at_width(3)
    mean = (X @ variant.values.T + variant.bias).mean(axis=0)
    np.testing.assert_allclose(mean, (X @ WEIGHT.T + BIAS).mean(axis=0), rtol=1e-4)
    assert variant.bias.dtype == np.float32


def test_the_bias_keeps_the_mean_of_a_split_layer_too() -> None:
    variant = at_width(2, split=(0, 4))
    mean = (X @ variant.values.T + variant.bias).mean(axis=0)
    np.testing.assert_allclose(mean, (X @ WEIGHT.T + BIAS).mean(axis=0), rtol=1e-4)


def test_a_layer_without_a_bias_gets_none() -> None:
    assert not at_width(3, sums_of(X, X @ WEIGHT.T).moments()).bias.any()


def test_the_output_is_closer_than_that_of_nearest_rounding() -> None:
    values = at_width(3).values
    step = 2.0 ** np.ceil(np.log2(np.abs(WEIGHT).max())) / 4
    rounded = step * np.clip(np.rint(WEIGHT / step), -4, 3)
    centred = X - X.mean(axis=0)
    ours, theirs = (np.mean((centred @ (w - WEIGHT).T) ** 2) for w in (values, rounded))
    assert ours < 0.7 * theirs


def test_costs_are_the_errors_of_each_output() -> None:
    # With H = I, and so 1.03 I with damping, a cost is 1.03 times the squared error of a row.
    variant = at_width(4, moments_with(np.eye(6)[None], rows=3))
    error = ((variant.values - WEIGHT) ** 2).sum(axis=1)
    np.testing.assert_allclose(variant.costs, 1.03 * error, rtol=1e-4)


def test_for_independent_columns_it_is_nearest_rounding_with_the_best_step() -> None:
    weight = np.array([[0.3, -0.9, 0.55, 0.1]], np.float32)
    values = at_width(4, moments_with(np.eye(4)[None]), weight).values
    np.testing.assert_array_equal(values, [[0.25, -0.875, 0.5, 0.125]])  # 0.55 -> 4.4 steps


def test_a_split_column_is_the_sum_of_two_halves() -> None:
    # The largest weight, 7, is 3.5 + 3.5: so the step may be half as large for all others.
    weight, moments = np.array([[7.0, 0.6, 0.4]], np.float32), moments_with(np.eye(3)[None])
    np.testing.assert_array_equal(at_width(4, moments, weight).values, [[7, 1, 0]])
    np.testing.assert_array_equal(at_width(4, moments, weight, (0,)).values, [[7, 0.5, 0.5]])


def test_each_split_column_gets_its_own_halves() -> None:
    weight, moments = np.array([[0.4, 7.0, 0.5, -6.0]], np.float32), moments_with(np.eye(4)[None])
    np.testing.assert_array_equal(at_width(4, moments, weight, (1, 3)).values, [[0.5, 7, 0.5, -6]])


def test_splitting_outliers_lowers_the_error() -> None:
    weight = WEIGHT.copy()
    weight[:, 2] *= 10
    moments = sums_of(X, X @ weight.T + BIAS, centred=True).moments()
    plain, split = (at_width(3, moments, weight, columns).costs.sum() for columns in ((), (2,)))
    assert split < plain


def test_steps_are_compared_after_gptq_rounding_alone_and_codes_descend() -> None:
    weights, hessian, _ = problem((1, 100, 8), noise=0.05)
    weight, spec = (weights[0] ** 3).astype(np.float32), GridSpec(2, 0)  # cubed: some are small
    matrix = weight[None].astype(np.float64)
    moments = moments_with(hessian.matrix, rows=100)
    damped = factored(hessian.matrix, 0.03)
    grid, other = (
        choose_steps(matrix, damped, DENSE, weight.shape, spec, descending=descending)
        for descending in (False, True)
    )
    assert (grid.step != other.step).any()
    rows = row_grid(grid, DENSE, weight.shape)
    codes = coordinate_descent(matrix, damped, rows, gptq_rounding(matrix, damped, rows))
    (variant,) = quantize_at_widths(weight, DENSE, moments, [spec])
    assert (variant.values == (rows.steps * codes)[0]).all()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_8_bits_of_a_convolution_are_close_to_its_weight(transposed: bool, groups: int) -> None:
    layer = Window((2, 3), (1, 1), (1, 1), (0,) * 4, groups, transposed)
    weight = random(4, 2, 2, 3, seed=5)
    _, rows, columns = layer.matrix(weight).shape
    moments = moments_with(np.stack([np.eye(columns)] * groups), rows)
    spec = GridSpec(8, axis=1 if transposed else 0)
    (variant,) = quantize_at_widths(weight, layer, moments, [spec])
    np.testing.assert_allclose(variant.values, weight, atol=np.abs(weight).max() / 64)
    assert variant.costs.shape == variant.bias.shape == (groups * rows,)


def test_moments_stay_as_they_are() -> None:
    before = MOMENTS.hessian.copy()
    at_width(2, split=(1,))
    np.testing.assert_array_equal(MOMENTS.hessian, before)


def test_codes_without_descent_cost_more_and_have_the_same_step() -> None:
    specs = [GridSpec(3)]
    (usual,) = quantize_at_widths(WEIGHT, DENSE, MOMENTS, specs)
    (quick,) = quantize_at_widths(WEIGHT, DENSE, MOMENTS, specs, descends=False)
    assert usual.costs.sum() <= quick.costs.sum()
    hessian = factored(MOMENTS.hessian, 1e-6)
    matrix = WEIGHT[None].astype(np.float64)
    grid = choose_steps(matrix, hessian, DENSE, WEIGHT.shape, specs[0], descending=False)
    assert not (quick.values % grid.step).any()
