"""Efforts cost less and less, and what each of them leaves out."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, correlated

from onnx_evoq.quantize import (
    EFFORTS,
    FULL,
    Activation,
    Effort,
    GridSpec,
    LayerReconstruction,
    LayerSamples,
    SampleChunk,
    reconstruct_with_activation,
)
from onnx_evoq.quantize.closed_form import layer_reconstruction as module
from onnx_evoq.quantize.rows import row_codes

X, WEIGHT = correlated(400, 12), random(5, 12, seed=3)
TARGETS = X @ WEIGHT.T * 1.5 + random(400, 5, seed=4)


def reconstructed(effort: Effort, seed: int | None = None) -> LayerReconstruction:
    samples = LayerSamples(True, Activation())
    for x, t in zip(np.array_split(X, 4), np.array_split(TARGETS, 4), strict=True):
        samples.add(SampleChunk(x[None], t[None]))
    rng = None if seed is None else np.random.default_rng(seed)
    return reconstruct_with_activation(WEIGHT, DENSE, samples, GridSpec(3, 0), effort, rng)


def test_each_effort_does_no_more_than_the_one_before_it() -> None:
    assert EFFORTS[0] is FULL
    for more, less in pairwise(EFFORTS):
        pairs = [(getattr(more, f.name), getattr(less, f.name)) for f in fields(Effort)]
        assert all(one >= other for one, other in pairs)
        assert more.positions > less.positions


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts of a reconstruction that run."""
    names: list[str] = []
    parts = [(row_codes, name) for name in ("closest_codes", "random_restarts", "gptq_rounding")]
    parts += [(module.MomentEquations, n) for n in ("choose_damping", "behind_activation")]
    for owner, name in parts:
        original = getattr(owner, name)

        def counted(*args: object, name: str = name, original: object = original) -> object:
            names.append(name)
            return original(*args)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, counted)
    return names


def test_the_least_effort_is_rounding_with_feedback(calls: list[str]) -> None:
    reconstructed(EFFORTS[-1], seed=0)
    assert calls == ["choose_damping", "gptq_rounding"]


def test_dampings_are_compared_up_to_a_number_of_columns(calls: list[str]) -> None:
    for columns, times in ((11, 0), (12, 1)):  # there are 12
        calls.clear()
        reconstructed(Effort(activation_rounds=0, compared_columns=columns))
        assert calls.count("choose_damping") == times


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_targets_follow_from_the_output_in_each_round_and_from_the_codes(
    calls: list[str], rounds: int
) -> None:
    reconstructed(Effort(activation_rounds=rounds))
    assert calls.count("behind_activation") == (rounds + 1 if rounds else 0)
    assert calls.count("closest_codes") == (2 if rounds else 1)
    assert "random_restarts" not in calls  # which a generator draws


@pytest.mark.parametrize(("many", "dampings", "searches"), [(12, 3, 2), (11, 1, 1)])
def test_of_many_columns_less_is_done_for_targets_behind_an_activation(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, many: int, dampings: int, searches: int
) -> None:
    monkeypatch.setattr(module, "MANY_COLUMNS", many)  # there are 12
    reconstructed(Effort(activation_rounds=1))
    assert calls.count("choose_damping") == dampings
    assert calls.count("closest_codes") == searches
    # The codes that only serve to find targets are those of GPTQ rounding.
    assert calls.count("gptq_rounding") == 2 - searches


def test_the_usual_damping_is_taken_where_dampings_are_not_compared(calls: list[str]) -> None:
    found = reconstructed(Effort(activation_rounds=0, compared_columns=0))
    assert "choose_damping" not in calls
    x, t = X - X.mean(axis=0), TARGETS - TARGETS.mean(axis=0)
    hessian = x.T @ x / 400
    damped = hessian + 0.03 * np.trace(hessian) / 12 * np.eye(12)
    expected = WEIGHT + (t.T @ x / 400 - WEIGHT @ hessian) @ np.linalg.inv(damped)
    np.testing.assert_allclose(found.best_weight, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("most", "restarts", "times"), [(720, 5, 1), (719, 5, 0), (720, 0, 0)])
def test_small_layers_have_restarts(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, most: int, restarts: int, times: int
) -> None:
    monkeypatch.setattr(module, "MOST_PRODUCTS_FOR_RESTARTS", most)  # 5 rows * 12^2
    reconstructed(Effort(restarts=restarts), seed=0)
    assert calls.count("random_restarts") == times
