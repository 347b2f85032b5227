"""Damped steps against the plain formula, and the damping that noise asks for."""

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.search.least_squares import DAMPINGS, damped_step

Floats = NDArray[np.float32]


def step_of(jacobian: Floats, errors: Floats, damping: float) -> NDArray[np.float64]:
    """The formula, with one damping."""
    length = np.linalg.norm(jacobian.astype(np.float64), axis=0)
    unit = jacobian / length
    square = unit.T @ unit + damping * np.eye(len(length))
    return -np.linalg.solve(square, unit.T @ errors) / length


def chosen_damping(noise: float, seed: int = 0) -> float:
    """The damping that explains the step for errors with noise."""
    jacobian = random(120, 30, seed=seed)
    true = random(30, seed=seed + 1)
    errors = -jacobian @ true + np.float32(noise) * random(120, seed=seed + 2)
    step = damped_step(jacobian, errors, 120)
    assert step is not None
    far = [np.abs(step - step_of(jacobian, errors, damping)).max() for damping in DAMPINGS]
    assert min(far) < 1e-4
    return DAMPINGS[int(np.argmin(far))]


def test_a_linear_map_is_recovered() -> None:
    jacobian, true = random(100, 5), random(5, seed=1)
    step = damped_step(jacobian, -jacobian @ true, 100)
    assert step == pytest.approx(true, abs=0.02)


def test_the_step_is_the_formula_with_one_of_the_dampings() -> None:
    jacobian, errors = random(80, 4), random(80, seed=1) + random(80, 4)[:, 0]
    step = damped_step(jacobian, errors, 80)
    expected = [step_of(jacobian, errors, damping) for damping in DAMPINGS]
    assert step is not None
    assert any(np.allclose(step, each, atol=1e-5) for each in expected)


def test_the_step_lowers_the_error_on_unseen_samples() -> None:
    jacobian, unseen, true = random(60, 20), random(200, 20, seed=1), random(20, seed=2)
    errors = -jacobian @ true + random(60, seed=3)
    step = damped_step(jacobian, errors, 60)
    assert step is not None
    assert np.sum((unseen @ (step - true)) ** 2) < np.sum((unseen @ true) ** 2) / 2


def test_few_samples_of_pure_noise_ask_for_no_step() -> None:
    assert damped_step(random(12, 20), random(12, seed=100), 12) is None


def test_pure_noise_is_seen_through_more_often_than_not() -> None:
    # Seven dampings are tried, so that one of them fits by chance about once in three times.
    found = [damped_step(random(12, 20, seed=k), random(12, seed=k + 100), 12) for k in range(60)]
    assert sum(step is None for step in found) > 30


def test_no_errors_ask_for_no_step() -> None:
    assert damped_step(random(20, 3), np.zeros(20, np.float32), 20) is None


def test_more_noise_asks_for_more_damping() -> None:
    little, some, much = (
        np.mean([chosen_damping(noise, seed) for seed in range(0, 30, 3)]) for noise in (0.01, 1, 4)
    )
    assert little < some < much
    assert little == DAMPINGS[0]


def test_a_parameter_that_does_nothing_stays() -> None:
    jacobian = random(40, 3)
    jacobian[:, 1] = 0
    step = damped_step(jacobian, -jacobian.sum(axis=1), 40)
    assert step is not None
    assert step[1] == 0
    assert step[[0, 2]] == pytest.approx([1, 1], abs=0.02)


def test_a_parameter_in_other_units_makes_the_same_step_in_them() -> None:
    jacobian, errors = random(40, 3), random(40, 3)[:, 1] + random(40, seed=1) / 4
    one, other = (
        damped_step(jacobian * unit, errors, 40) for unit in (1, np.float32([1, 1024, 1]))
    )
    assert one is not None
    assert other is not None
    assert other * [1, 1024, 1] == pytest.approx(one, rel=1e-6)


def test_outputs_of_a_sample_stay_in_one_fold() -> None:
    # Three equal outputs per sample say no more than one: they must not judge each other.
    jacobian, errors = random(12, 20), random(12, seed=100)
    steps = [damped_step(np.repeat(jacobian, n, 0), np.repeat(errors, n), 12) for n in (1, 3)]
    assert steps == [None, None]
