"""The equations in the space of few positions, against those from moments."""

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, correlated
from numpy.typing import NDArray

from onnx_evoq.quantize import (
    Activation,
    Effort,
    GridSpec,
    LayerSamples,
    SampleChunk,
    nearest,
    reconstruct_with_activation,
)
from onnx_evoq.quantize.closed_form import sample_equations as module
from onnx_evoq.quantize.closed_form.best_weight import DAMPINGS
from onnx_evoq.quantize.closed_form.moment_equations import MomentEquations
from onnx_evoq.quantize.closed_form.sample_equations import (
    SampleEquations,
    in_space_of_positions,
)
from onnx_evoq.quantize.grid import FactoredHessian

Floats = NDArray[np.float32]
N, COLUMNS = 20, 48
MATRIX = random(2, 3, COLUMNS, seed=5).astype(np.float64)
X = np.stack([correlated(N, COLUMNS), random(N, COLUMNS, seed=7)]) + 1
T = X @ MATRIX.transpose(0, 2, 1).astype(np.float32) * 2 + random(2, N, 3, seed=8) + 1


def samples_of(
    x: Floats,
    t: Floats,
    activation: Activation | None = None,
    *,
    centred: bool = True,
    few: bool = True,
    shift: Floats | None = None,
) -> LayerSamples:
    """Columns and targets in two chunks, which are the two halves."""
    samples, half = LayerSamples(centred, activation, few=few), x.shape[1] // 2
    for part in (slice(0, half), slice(half, None)):
        samples.add(SampleChunk(x[:, part], t[:, part], None if shift is None else shift[:, part]))
    return samples


def both(
    activation: Activation | None = None, *, centred: bool = True, shift: Floats | None = None
) -> tuple[SampleEquations, MomentEquations]:
    few, many = (
        samples_of(X, T, activation, centred=centred, few=few, shift=shift) for few in (True, False)
    )
    return SampleEquations.of(MATRIX, few), MomentEquations.of(MATRIX, many)


@pytest.mark.parametrize(("positions", "few"), [(1, True), (8, True), (9, False), (16, False)])
def test_few_positions_are_no_more_than_columns(positions: int, few: bool) -> None:
    assert in_space_of_positions(positions, 8) == few


@pytest.mark.parametrize("damping", [1e-3, 0.03, 1.0])
@pytest.mark.parametrize("centred", [True, False])
def test_with_as_many_positions_as_columns_the_best_weight_is_that_of_the_moments(
    centred: bool, damping: float
) -> None:
    x = np.stack([correlated(COLUMNS, COLUMNS), random(COLUMNS, COLUMNS, seed=7)]) + 1
    t = x @ MATRIX.transpose(0, 2, 1).astype(np.float32) * 2 + random(2, COLUMNS, 3, seed=8)
    few, many = (samples_of(x, t, centred=centred, few=few) for few in (True, False))
    found = SampleEquations.of(MATRIX, few).best_weight(damping)
    expected = MomentEquations.of(MATRIX, many).best_weight(damping)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("damping", [1e-3, 0.03, 1.0, np.inf])
@pytest.mark.parametrize("centred", [True, False])
def test_the_best_weight_is_that_of_the_dense_formula(centred: bool, damping: float) -> None:
    x, t = X.astype(np.float64), T.astype(np.float64)
    if centred:
        x, t = x - x.mean(axis=1, keepdims=True), t - t.mean(axis=1, keepdims=True)
    expected = MATRIX.copy()
    if np.isfinite(damping):
        for group in range(2):
            hessian, cross = x[group].T @ x[group] / N, t[group].T @ x[group] / N
            added = damping * np.trace(hessian) / COLUMNS * np.eye(COLUMNS)
            change = (cross - MATRIX[group] @ hessian) @ np.linalg.inv(hessian + added)
            expected[group] += change
    found, from_moments = (each.best_weight(damping) for each in both(centred=centred))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(from_moments, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("centred", [True, False])
def test_bias_spread_and_hessian_are_those_of_the_moments(centred: bool) -> None:
    few, many = both(centred=centred)
    other = random(2, 3, COLUMNS, seed=9).astype(np.float64)
    np.testing.assert_allclose(few.bias(other), many.bias(other), atol=1e-4)
    assert bool(few.bias(other).any()) == centred
    np.testing.assert_allclose(few.spread(other), many.spread(other), rtol=1e-4)
    one, two = (each.hessian(0.1) for each in (few, many))
    np.testing.assert_allclose(one.diagonal, two.diagonal, rtol=1e-4)
    np.testing.assert_allclose(one.times(other), two.times(other), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", [Activation(), Activation(-1, 2), Activation(alpha=0.1)])
@pytest.mark.parametrize("shifted", [True, False])
def test_targets_behind_an_activation_are_those_of_the_moments(
    activation: Activation, shifted: bool
) -> None:
    shift = random(2, N, 3, seed=3) if shifted else None
    bias = random(2, 3, seed=4).astype(np.float64)
    few, many = both(activation, shift=shift)
    for _ in range(2):  # each step starts from the layer's own targets
        few, many = (e.behind_activation(MATRIX, bias) for e in (few, many))  # type: ignore[assignment]
        np.testing.assert_allclose(few.bias(MATRIX), many.bias(MATRIX), atol=1e-4)
        np.testing.assert_allclose(
            few.best_weight(0.03), many.best_weight(0.03), rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("activation", [None, Activation()], ids=str)
def test_heldout_positions_choose_the_damping_as_for_moments(
    activation: Activation | None,
) -> None:
    found = []
    for few in (True, False):
        samples = LayerSamples(False, activation, few=few, heldout=True)
        for at in (slice(0, 8), slice(8, None)):
            samples.add(SampleChunk(X[:, at], T[:, at], heldout=at.start == 0))
        kind = SampleEquations if few else MomentEquations
        equations = kind.of(MATRIX, samples).behind_activation(MATRIX, np.ones((2, 3)))
        found.append((equations.choose_damping(), equations.best_weight(0.1)))
    (one, first), (other, second) = found
    assert one == other
    assert one in DAMPINGS
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)


def test_heldout_positions_are_judged_with_the_means_of_the_others() -> None:
    samples, judged, fitted = LayerSamples(True, few=True, heldout=True), slice(0, 8), slice(8, N)
    samples.add(SampleChunk(X[:, judged], T[:, judged], heldout=True))
    samples.add(SampleChunk(X[:, fitted], T[:, fitted]))
    equations, losses = SampleEquations.of(MATRIX, samples), {}
    for damping in (*DAMPINGS, np.inf):
        weight = equations.best_weight(damping)
        outputs = X[:, judged] @ weight.transpose(0, 2, 1) + equations.bias(weight)[:, None]
        losses[damping] = float(np.square(T[:, judged] - outputs).sum())
    best = min(losses, key=lambda damping: losses[damping])
    assert 1e-4 < best < np.inf
    assert equations.choose_damping() == best


def test_without_an_activation_targets_stay() -> None:
    few, _ = both()
    assert few.behind_activation(MATRIX, np.zeros((2, 3))) is few


def test_the_damping_is_a_tenth_of_the_one_that_fits_the_second_half_best() -> None:
    x, t = X.astype(np.float64), T.astype(np.float64)
    x, t = x - x.mean(axis=1, keepdims=True), t - t.mean(axis=1, keepdims=True)
    losses = dict.fromkeys((*DAMPINGS, np.inf), 0.0)
    for group, weight in enumerate(MATRIX):
        seen, unseen = x[group, : N // 2], x[group, N // 2 :]
        hessian = seen.T @ seen / (N // 2)
        error = (t[group, : N // 2] - seen @ weight.T).T @ seen / (N // 2)
        mean = np.trace(x[group].T @ x[group]) / N / COLUMNS
        for damping in losses:
            added = damping * mean * np.eye(COLUMNS) if np.isfinite(damping) else None
            change = 0 if added is None else error @ np.linalg.inv(hessian + added)
            losses[damping] += np.square(t[group, N // 2 :] - unseen @ (weight + change).T).sum()
    best = min(losses, key=lambda damping: losses[damping])
    assert np.isfinite(best)
    assert both()[0].choose_damping() == pytest.approx(max(best / 10, 3e-5))


def test_noise_asks_for_the_weight_itself() -> None:
    t = X @ MATRIX.transpose(0, 2, 1).astype(np.float32) + 30 * random(2, N, 3, seed=2)
    assert SampleEquations.of(MATRIX, samples_of(X, t)).choose_damping() == np.inf


def test_one_position_is_too_little_to_choose_from() -> None:
    samples = LayerSamples(True, few=True)
    samples.add(SampleChunk(X[:, :1], T[:, :1]))
    equations = SampleEquations.of(MATRIX, samples)
    damping = equations.choose_damping()
    assert damping == np.inf
    assert (equations.best_weight(damping) == MATRIX).all()


@pytest.mark.parametrize("activation", [None, Activation()], ids=str)
def test_a_layer_is_reconstructed_as_from_moments(activation: Activation | None) -> None:
    weight, effort = MATRIX[0].astype(np.float32), Effort(compared_columns=0)
    few, many = (
        reconstruct_with_activation(
            weight, DENSE, samples_of(X[:1], T[:1], activation, few=few), GridSpec(4, 0), effort
        )
        for few in (True, False)
    )
    np.testing.assert_allclose(few.best_weight, many.best_weight, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(few.bias, many.bias, atol=0.05)
    np.testing.assert_allclose(few.spread, many.spread, rtol=1e-3)
    assert np.mean(few.quantized.codes == many.quantized.codes) > 0.95
    errors = [
        np.square(X[0] @ found.quantized.values.T + found.bias - T[0]).mean()
        for found in (few, many)
    ]
    assert activation is not None or errors[0] == pytest.approx(errors[1], rel=0.05)


@pytest.mark.parametrize("effort", [Effort(), Effort(compared_columns=0, descends=False)])
def test_an_input_that_is_always_zero_gets_nearest_rounding(effort: Effort) -> None:
    weight = np.float32([[0.3, -0.9, 0.5], [0.1, 0.2, 0.7]])
    samples = LayerSamples(False, few=True)
    samples.add(SampleChunk(np.zeros((1, 1, 3), np.float32), np.ones((1, 1, 2), np.float32)))
    found = reconstruct_with_activation(weight, DENSE, samples, GridSpec(8), effort)
    assert (found.quantized.codes == nearest(weight, found.quantized.grid)).all()


@pytest.mark.parametrize(("positions", "as_matrix"), [(10, False), (11, True), (20, True)])
def test_h_is_a_matrix_for_more_positions_than_half_of_the_columns(
    positions: int, as_matrix: bool
) -> None:
    x = random(2, positions, 20, seed=1)
    samples = LayerSamples(False, None, few=True)
    samples.add(SampleChunk(x, random(2, positions, 3, seed=2)))
    hessian = SampleEquations.of(np.zeros((2, 3, 20)), samples).hessian(0.5)
    assert isinstance(hessian, FactoredHessian) == as_matrix
    expected = np.einsum("gni,gnj->gij", x, x) / positions
    expected += 0.5 * np.trace(expected, axis1=1, axis2=2)[:, None, None] / 20 * np.eye(20)
    error = random(2, 3, 20, seed=3)
    np.testing.assert_allclose(hessian.times(error), error @ expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("most", [0, 10**6])
def test_many_positions_are_solved_in_float32(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    reference = SampleEquations.of(MATRIX, samples_of(X, T)).best_weight(0.1)
    monkeypatch.setattr(module, "MOST_COLUMNS_OF_W_IN_DOUBLE", most)
    monkeypatch.setattr(module, "MOST_COLUMNS_IN_DOUBLE", most)
    equations = SampleEquations.of(MATRIX, samples_of(X, T))
    np.testing.assert_allclose(equations.best_weight(0.1), reference, rtol=1e-3, atol=1e-4)
    assert (
        equations.choose_damping() == SampleEquations.of(MATRIX, samples_of(X, T)).choose_damping()
    )


# Several uses


def of_uses(*, few: bool, heldout: bool = False) -> LayerSamples:
    """Columns and targets of two uses with other means, an activation at one of them."""
    samples = LayerSamples((True, True), few=few, heldout=heldout, activations=(Activation(), None))
    for use, shift in enumerate((0.0, 5.0)):
        for at in (slice(0, 6), slice(6, None)):
            samples.add(
                SampleChunk(
                    X[:, at] + shift, T[:, at] - shift, heldout=heldout and at.start == 0,
                    use=use,
                )
            )  # fmt: skip
    return samples


@pytest.mark.parametrize("heldout", [False, True])
def test_few_positions_of_several_uses_give_what_their_moments_do(heldout: bool) -> None:
    few = SampleEquations.of(MATRIX, of_uses(few=True, heldout=heldout))
    many = MomentEquations.of(MATRIX, of_uses(few=False, heldout=heldout))
    biases = np.ones((2, *MATRIX.shape[:2]))
    for _ in range(2):
        for damping in (0.01, 1.0):
            np.testing.assert_allclose(
                few.best_weight(damping), many.best_weight(damping), rtol=1e-3, atol=1e-3
            )
        assert few.bias(MATRIX).shape == (2, *MATRIX.shape[:2])
        np.testing.assert_allclose(few.bias(MATRIX), many.bias(MATRIX), atol=1e-3)
        few, many = few.behind_activation(MATRIX, biases), many.behind_activation(MATRIX, biases)


def test_a_use_without_positions_does_not_count() -> None:
    samples, alone = (
        LayerSamples((True,) * uses, few=True, activations=(None,) * uses) for uses in (2, 1)
    )
    for each in (samples, alone):
        each.add(SampleChunk(X, T))
    one, other = SampleEquations.of(MATRIX, samples), SampleEquations.of(MATRIX, alone)
    np.testing.assert_allclose(one.best_weight(0.1), other.best_weight(0.1))
    np.testing.assert_allclose(one.bias(MATRIX)[0], other.bias(MATRIX))
    np.testing.assert_array_equal(one.bias(MATRIX)[1], 0)
