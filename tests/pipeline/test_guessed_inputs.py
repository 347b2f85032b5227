"""What is fitted to inputs that are a guess must hold for inputs that are drawn otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import mlp, random, rounded, scoring_set, task_of

from onnx_evoq.model import load
from onnx_evoq.pipeline import guessed_inputs
from onnx_evoq.pipeline.fine_tuning import FineTuned
from onnx_evoq.pipeline.guessed_inputs import fine_tune_if_fits_hold
from onnx_evoq.pipeline.strategy import Strategy
from onnx_evoq.setup import Task

ORDER = ["first", "second"]
PLAIN = Strategy("none")


def task(*shifts: float, **options: Any) -> Task:
    """A task with samples like its own, and others that are shifted."""
    model = load(mlp())
    given = task_of(model, random(64, 4, seed=1), random(24, 4, seed=2), bits=3, **options)
    others = [
        scoring_set(model, {"x": random(64, 4, seed=3) + np.float32(shift)}, 8) for shift in shifts
    ]
    return replace(given, otherwise=others)


def tuned(given: Task, strategy: Strategy = PLAIN) -> FineTuned:
    return fine_tune_if_fits_hold(given, ORDER, strategy, np.random.default_rng(0))


def is_nearest(found: FineTuned, given: Task) -> bool:
    nearest = rounded(given.model, 3)
    codes = found.evolved.quantized
    return all(np.array_equal(codes[name].codes, nearest[name].codes) for name in nearest)


def test_what_holds_is_fitted() -> None:
    given = task(0.0)
    found = tuned(given)
    assert not is_nearest(found, given)
    assert found.notes == ()


def test_what_does_not_hold_has_the_nearest_codes_and_no_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guessed_inputs, "_CLEARLY", 0.0)
    given = task(0.0)
    found = tuned(given, Strategy())
    assert is_nearest(found, given)
    assert found.evolved.evaluations == 0
    assert found.notes[-1].startswith("the inputs are a guess, and what is fitted to them does not")
    assert set(found.nearest.values()) == {"nearest rounding was better"}


@pytest.mark.parametrize(("errors", "holds"), [((0.5, 0.1), True), ((0.1, 0.51), False)])
def test_it_holds_where_it_halves_the_error_for_all_other_inputs(
    errors: tuple[float, float], holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = task(0.0, 1.0)
    measured = [errors[0], 1.0, errors[1], 1.0]  # of the fitted model, of nearest rounding
    monkeypatch.setattr(Task, "fitness", lambda self, model, scoring=None: measured.pop(0))
    monkeypatch.setattr(guessed_inputs, "fine_tune", lambda *arguments: "fitted")
    found: Any = guessed_inputs.from_nearest(given, ORDER, None, np.random.default_rng(0))
    monkeypatch.setattr(guessed_inputs, "from_reconstruction", lambda *arguments: found)
    assert (tuned(given) == "fitted") == holds


@pytest.mark.parametrize("strategy", [Strategy("none", init="nearest")])
def test_who_starts_from_nearest_rounding_asks_for_no_trial(
    strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guessed_inputs, "fine_tune", lambda *arguments: arguments)
    given = task(0.0)
    assert tuned(given, strategy)[0] is given
