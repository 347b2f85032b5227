"""The equations from moments, against plain formulas."""

import numpy as np
import pytest
from graphs import random
from layer_problems import correlated
from numpy.typing import NDArray

from onnx_evoq.quantize import Activation, LayerSamples, SampleChunk
from onnx_evoq.quantize.closed_form.best_weight import choose_damping, solve_best_weight, solved
from onnx_evoq.quantize.closed_form.moment_equations import MomentEquations

Floats = NDArray[np.float32]
MATRIX = random(2, 3, 6, seed=5).astype(np.float64)
X = np.stack([correlated(200, 6), correlated(200, 6, seed=7)]) + 1
T = X @ MATRIX.transpose(0, 2, 1).astype(np.float32) * 2 + random(2, 200, 3, seed=8) + 1


def samples_of(
    activation: Activation | None = None, *, centred: bool = True, chunks: int = 4
) -> LayerSamples:
    samples = LayerSamples(centred, activation)
    for x, t in zip(
        np.array_split(X, chunks, axis=1), np.array_split(T, chunks, axis=1), strict=True
    ):
        samples.add(SampleChunk(x, t))
    return samples


@pytest.mark.parametrize("damping", [3e-5, 0.03, 1.0, np.inf])
@pytest.mark.parametrize("centred", [True, False])
def test_the_best_weight_is_that_of_the_moments(centred: bool, damping: float) -> None:
    samples = samples_of(centred=centred)
    found = MomentEquations.of(MATRIX, samples).best_weight(damping)
    expected = solve_best_weight(MATRIX, samples.sums.moments(), damping)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_the_best_weight_of_many_columns_is_solved_in_single_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    equations = MomentEquations.of(MATRIX, samples_of())
    exact = equations.best_weight(0.03)
    monkeypatch.setattr(solved, "__defaults__", (5,))  # the most columns in double precision
    found = equations.best_weight(0.03)
    assert np.abs(found - exact).max() > 1e-10
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


def test_the_damping_is_chosen_on_two_halves() -> None:
    samples = samples_of()
    expected = choose_damping(MATRIX, samples.sums.folds())
    assert np.isfinite(expected)
    assert MomentEquations.of(MATRIX, samples).choose_damping() == expected
    assert MomentEquations.of(MATRIX, samples_of(chunks=1)).choose_damping() == np.inf


def test_heldout_positions_choose_the_damping_if_there_are_some() -> None:
    samples, halves = LayerSamples(True, heldout=True), (slice(0, 80), slice(80, None))
    for at in halves:
        samples.add(SampleChunk(X[:, at], T[:, at], heldout=at.start == 0))
    expected = choose_damping(MATRIX, samples.sums.folds(), heldout=True)
    equations = MomentEquations.of(MATRIX, samples)
    assert equations.choose_damping() == expected
    alone = LayerSamples(True)
    alone.add(SampleChunk(X[:, 80:], T[:, 80:]))
    fitted = MomentEquations.of(MATRIX, alone).best_weight(0.1)
    np.testing.assert_allclose(equations.best_weight(0.1), fitted, rtol=1e-4, atol=1e-4)


def test_the_hessian_is_damped_by_a_share_of_its_mean_diagonal() -> None:
    x = X.astype(np.float64) - X.mean(axis=1, keepdims=True)
    hessian = np.einsum("gpi,gpj->gij", x, x) / 200
    for each in hessian:
        each += 0.1 * np.trace(each) / 6 * np.eye(6)
    found = MomentEquations.of(MATRIX, samples_of()).hessian(0.1)
    np.testing.assert_allclose(found.times(np.eye(6)[None].repeat(2, axis=0)), hessian, atol=1e-5)


@pytest.mark.parametrize("centred", [True, False])
def test_the_bias_keeps_the_mean_and_the_spread_is_that_of_the_output(centred: bool) -> None:
    equations = MomentEquations.of(MATRIX, samples_of(centred=centred))
    other = random(2, 3, 6, seed=9).astype(np.float64)
    y = X @ other.transpose(0, 2, 1)
    bias = (T - y).mean(axis=1) if centred else np.zeros((2, 3))
    np.testing.assert_allclose(equations.bias(other), bias, atol=1e-5)
    spread = y.std(axis=1) if centred else np.sqrt(np.square(y).mean(axis=1))
    np.testing.assert_allclose(equations.spread(other), spread.ravel(), rtol=1e-4)


def test_behind_an_activation_targets_follow_from_the_output() -> None:
    activation, bias = Activation(), random(2, 3, seed=4).astype(np.float64)
    samples = samples_of(activation)
    equations = MomentEquations.of(MATRIX, samples)
    behind = equations.behind_activation(MATRIX, bias)
    expected = samples.moments_behind_activation(MATRIX, bias)
    np.testing.assert_array_equal(behind.sums.moments().cross, expected.moments().cross)
    assert behind.hessians is equations.hessians  # they depend on the columns only
    assert behind.choose_damping() == choose_damping(MATRIX, expected.folds())
    np.testing.assert_allclose(
        behind.best_weight(0.01), solve_best_weight(MATRIX, expected.moments(), 0.01), rtol=1e-6
    )
    # A second step starts from the layer's own targets, not from those of the first.
    again = behind.behind_activation(MATRIX, bias).sums.moments()
    np.testing.assert_array_equal(again.cross, expected.moments().cross)


def test_what_depends_on_the_columns_is_computed_once() -> None:
    equations = MomentEquations.of(MATRIX, samples_of(Activation()))
    product, factored = equations.hessians.times(MATRIX), equations.hessian(0.01)
    np.testing.assert_allclose(product, MATRIX @ equations.hessians.of_all)
    for _ in range(3):
        equations = equations.behind_activation(MATRIX, np.zeros((2, 3)))
        assert equations.hessians.times(MATRIX) is product
        assert equations.hessian(0.01) is factored
    assert equations.hessian(0.02) is not factored


def test_the_damping_is_chosen_again_for_other_targets() -> None:
    samples = LayerSamples(True, Activation())
    for x in np.array_split(X, 4, axis=1):
        samples.add(SampleChunk(x, x @ MATRIX.transpose(0, 2, 1).astype(np.float32)))
    own = MomentEquations.of(MATRIX, samples)
    assert own.choose_damping() == np.inf  # the weight gives its own targets
    # Where both are below zero, the target is the output of twice the weight.
    behind = own.behind_activation(2 * MATRIX, np.zeros((2, 3)))
    assert np.isfinite(behind.choose_damping())
    assert own.choose_damping() == np.inf
