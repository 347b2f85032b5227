"""Targets behind activations: by hand, and as a bound on the error behind the activation."""

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize import Activation

Floats = NDArray[np.floating]

RELU, CLIP, LEAKY = Activation(), Activation(-1, 2), Activation(alpha=0.5)
FLAT = {"Relu": RELU, "Clip": CLIP, "Clip from above": Activation(low=-np.inf, high=0.5)}


def activated(activation: Activation, y: Floats) -> Floats:
    below = (
        activation.low + activation.alpha * (y - activation.low)
        if activation.alpha
        else activation.low
    )
    return np.where(y < activation.low, below, np.minimum(y, activation.high))


def bound(activation: Activation, targets: Floats, outputs: Floats) -> float:
    """The bound on the error: (y - t)^2 unless t is on a flat side, else the distance to it."""
    beyond = np.where(targets <= activation.low, np.maximum(outputs - activation.low, 0), 0)
    beyond += np.where(targets >= activation.high, np.maximum(activation.high - outputs, 0), 0)
    through = (targets > activation.low) & (targets < activation.high)
    return float(np.square(np.where(through, outputs - targets, beyond)).sum())


@pytest.mark.parametrize(
    ("activation", "target", "output", "expected"),
    [
        (RELU, -2, -1, -1),
        (RELU, -2, 4, 0),
        (RELU, 3, -1, 3),
        (RELU, 3, 1, 3),
        (CLIP, -5, -2, -2),
        (CLIP, -5, 0, -1),
        (CLIP, -5, 7, -1),
        (CLIP, 1, 7, 1),
        (CLIP, 5, 7, 7),
        (CLIP, 5, 0, 2),
        (CLIP, 5, -4, 2),
        (LEAKY, -2, -1, -1.25),  # a quarter of the way
        (LEAKY, -6, -2, -3),
        (LEAKY, -2, 4, -1),
        (LEAKY, 3, -1, 3),
        (Activation(-3), -4, -3.5, -3.5),
    ],
)
def test_targets_worked_by_hand(
    activation: Activation, target: float, output: float, expected: float
) -> None:
    assert activation.targets(np.float32([target]), np.float32([output])).tolist() == [expected]


def test_a_limit_belongs_to_its_flat_side() -> None:
    targets, outputs = np.float32([-1, -1, 2, 2]), np.float32([-3, 0, 3, 0])
    assert CLIP.targets(targets, outputs).tolist() == [-3, -1, 3, 2]


@pytest.mark.parametrize("activation", [RELU, CLIP, LEAKY, Activation(-1, 2, 0.25)], ids=str)
def test_what_the_model_adds_shifts_the_limits(activation: Activation) -> None:
    t, y, shift = 2 * random(3, 500).astype(np.float64)
    expected = activation.targets(t + shift, y + shift) - shift
    np.testing.assert_allclose(activation.targets(t, y, shift), expected, atol=1e-12)


def test_without_limits_targets_stay() -> None:
    t, y = random(2, 50)
    assert (Activation(-np.inf, np.inf).targets(t, y) == t).all()


def test_targets_are_float32() -> None:
    t, y = random(2, 50)
    assert Activation(-1.5, 0.3, 0.1).targets(t, y, y).dtype == np.float32


@pytest.mark.parametrize("kind", FLAT)
def test_outputs_that_meet_their_targets_have_no_error(kind: str) -> None:
    activation, (t, y) = FLAT[kind], 2 * random(2, 500)
    assert (activated(activation, activation.targets(t, y)) == activated(activation, t)).all()


@pytest.mark.parametrize("kind", FLAT)
def test_errors_against_targets_are_the_bound_and_elsewhere_above_it(kind: str) -> None:
    activation, (t, y, other) = FLAT[kind], 2 * random(3, 500).astype(np.float64)
    targets = activation.targets(t, y)
    assert np.square(y - targets).sum() == pytest.approx(bound(activation, t, y))
    for one_t, one_target, one in zip(t, targets, other, strict=True):
        assert (one - one_target) ** 2 >= bound(activation, one_t, one) - 1e-12


@pytest.mark.parametrize("kind", FLAT)
def test_the_error_is_within_the_bound(kind: str) -> None:
    activation, (ts, ys) = FLAT[kind], 2 * random(2, 500).astype(np.float64)
    for t, y in zip(ts, ys, strict=True):
        assert (activated(activation, y) - activated(activation, t)) ** 2 <= bound(
            activation, t, y
        ) + 1e-12


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", FLAT)
def test_no_round_of_least_squares_raises_the_bound(kind: str, seed: int) -> None:
    activation, x = FLAT[kind], random(60, 5, seed=seed).astype(np.float64)
    t, y = 2 * random(60, seed=seed + 10), x @ random(5, seed=seed + 20)
    bounds = [bound(activation, t, y)]
    for _ in range(10):
        y = x @ np.linalg.lstsq(x, activation.targets(t, y))[0]
        bounds.append(bound(activation, t, y))
    assert (np.diff(bounds) <= 1e-9).all()
    assert bounds[-1] < bounds[1]


@pytest.mark.parametrize(
    "activation", [RELU, CLIP, Activation(alpha=0.01), Activation(alpha=0.1)], ids=str
)
def test_rounds_lower_the_error_behind_the_activation(activation: Activation) -> None:
    x = random(60, 5).astype(np.float64)
    t = x @ random(5, seed=1) - (x @ random(5, seed=2)) ** 2  # negative where it bends most
    plain = y = x @ np.linalg.lstsq(x, t)[0]
    for _ in range(10):
        y = x @ np.linalg.lstsq(x, activation.targets(t, y))[0]
    before, after = (
        np.square(activated(activation, z) - activated(activation, t)).sum() for z in (plain, y)
    )
    assert after < 0.5 * before


def test_each_channel_may_have_its_own_limits() -> None:
    t = np.array([[[-1.0, 5.0], [2.0, 2.0]]], np.float32)  # (groups, positions, rows)
    y = np.array([[[-2.0, 3.0], [4.0, 1.0]]], np.float32)
    activation = Activation(high=np.array([[[1.0, 4.0]]], np.float32))
    assert activation.targets(t, y).tolist() == [[[-2.0, 4.0], [4.0, 2.0]]]
