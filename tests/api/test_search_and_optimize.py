"""Search for widths, pick a point of the front, and optimize it."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from calls import grouped
from graphs import mlp, random

import onnx_evoq
from onnx_evoq import BudgetError, EvoqError, MixedPrecision
from onnx_evoq.mixed_precision import evolution
from onnx_evoq.model import serialize

X = random(32, 4, seed=5)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of two generations, and points that are optimized without a search of codes."""
    monkeypatch.setattr(evolution, "_POPULATION", 8)
    monkeypatch.setattr(evolution, "_GENERATIONS", 2)


def found_for(**options: Any) -> MixedPrecision:
    usual = {"time_budget": None, "tune_budget": 1e-6}
    return onnx_evoq.search_and_optimize(mlp(), X, **grouped(**{**usual, **options}))


def test_without_a_budget_nothing_is_chosen() -> None:
    found = found_for()
    assert found.search is not None
    assert (found.chosen, found.result) == (None, None)
    assert found.notes == found.search.notes
    with pytest.raises(EvoqError, match="nothing was chosen: give a budget"):
        found.policy_json()


def test_a_budget_picks_the_point_of_the_front_that_fits() -> None:
    search = found_for().search
    assert search is not None
    budget = search.front[len(search.front) // 2].packed_bytes
    found = found_for(budget=budget)
    assert found.search is not None
    assert found.chosen == found.search.pick(budget)
    assert found.result is not None
    assert found.result.packed_bytes == found.chosen.packed_bytes <= budget


def test_a_saved_choice_is_optimized_alike_without_a_search(tmp_path: Path) -> None:
    found = found_for(max_drop=50.0)
    found.save_policy(tmp_path / "policy.json")
    again = found_for(policy=tmp_path / "policy.json", max_drop=50.0)
    assert again.search is None
    assert found.result is not None
    assert again.result is not None
    assert serialize(again.result.model) == serialize(found.result.model)


def test_a_budget_that_nothing_fits_hands_over_the_front() -> None:
    with pytest.raises(BudgetError, match="more than the budget of 1 bytes") as caught:
        found_for(budget=1)
    assert len(caught.value.search.uniform) == 7


def test_a_policy_and_a_budget_are_two_choices() -> None:
    with pytest.raises(EvoqError, match="leave the budget out"):
        found_for(budget=1000, policy={"bits": {"first": 4, "second": 4}})


def test_notes_of_both_are_there_once() -> None:
    found = found_for(budget=10_000, holdout=0.1)
    assert sum("which is too few" in note for note in found.notes) == 1
    assert any("the time budget cut the search short" in note for note in found.notes)


def test_it_becomes_one_object_of_json(tmp_path: Path) -> None:
    values = found_for(budget=10_000).to_dict(tmp_path / "out.onnx")
    assert json.loads(json.dumps(values))["optimized"]["output"] == str(tmp_path / "out.onnx")
    assert values["chosen"]["bits"].keys() == {"first", "second"}
    assert {"front", "uniform", "greedy", "notes"} <= values.keys()


def test_the_model_can_be_saved(tmp_path: Path) -> None:
    found = found_for(budget=10_000)
    assert found.result is not None
    found.result.save(tmp_path / "out.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "out.onnx"))
