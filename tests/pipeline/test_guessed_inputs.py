"""What is fitted to inputs that are a guess must hold for inputs that are drawn otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import mlp, random, rounded, scoring_set, task_of

from onnx_evoq.model import Runnable, initializer_values, load
from onnx_evoq.pipeline import guessed_inputs
from onnx_evoq.pipeline.fine_tuning import FineTuned
from onnx_evoq.pipeline.guessed_inputs import fine_tune_if_fits_hold
from onnx_evoq.pipeline.strategy import Strategy
from onnx_evoq.run import Deadline, Stopped
from onnx_evoq.setup import ScoringSet, Task

ORDER = ["first", "second"]
PLAIN = Strategy("none")


class Others(list[ScoringSet]):
    """Scoring sets that are asked for within a deadline."""

    deadline: Deadline | None = None

    def sets(self, deadline: Deadline) -> tuple[ScoringSet, ...]:
        self.deadline = deadline
        return tuple(self)


def task(*shifts: float, **options: Any) -> Task:
    """A task with samples like its own, and others that are shifted."""
    model = load(mlp())
    given = task_of(model, random(64, 4, seed=1), random(24, 4, seed=2), bits=3, **options)
    others = [
        scoring_set(model, {"x": random(64, 4, seed=3) + np.float32(shift)}, 8) for shift in shifts
    ]
    return replace(given, otherwise=Others(others))


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
    assert given.otherwise.deadline is None


def test_other_inputs_are_run_within_the_share_of_the_trial() -> None:
    given = task(0.0, deadline=Deadline(400.0, lambda: 0.0))
    tuned(given)
    assert given.otherwise.deadline.left == 100.0


def test_a_model_without_numbers_for_other_inputs_is_fitted() -> None:
    given = task()
    assert not is_nearest(tuned(given), given)


def test_within_an_allowed_drop_there_is_a_trial_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task(0.0, max_drop_check=lambda model: True)
    assert not is_nearest(tuned(given), given)
    monkeypatch.setattr(guessed_inputs, "_CLEARLY", 0.0)
    found = tuned(given)
    assert is_nearest(found, given)
    assert found.notes[-1].startswith("the inputs are a guess")


def test_what_does_not_hold_keeps_within_the_allowed_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessed_inputs, "_CLEARLY", 0.0)
    nearest = rounded(load(mlp()), 3)

    def check(model: Runnable) -> bool:  # "second" may not have 3 bits
        values = initializer_values(model, ["second"])["second"]
        return not np.array_equal(values, nearest["second"].values)

    found = tuned(task(0.0, max_drop_check=check))
    assert found.evolved.left_out == ("second",)
    widths = {name: each.grid.bits for name, each in found.evolved.quantized.items()}
    assert widths == {"first": 3, "second": 8}


def test_an_interrupted_trial_leaves_8_bits_without_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = list[Runnable]()
    given = task(0.0, max_drop_check=checks.append)  # type: ignore[arg-type]

    def interrupted(*arguments: Any) -> FineTuned:
        found = guessed_inputs.from_nearest(*arguments)
        return replace(found, evolved=replace(found.evolved, stopped=Stopped.INTERRUPT))

    monkeypatch.setattr(guessed_inputs, "from_reconstruction", interrupted)
    found = tuned(given)
    assert (found.evolved.stopped, found.evolved.left_out) == ("interrupt", tuple(ORDER))
    assert {each.grid.bits for each in found.evolved.quantized.values()} == {8}
    assert checks == []
