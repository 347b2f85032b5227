"""The result of a search for widths, of a choice, and of its optimization."""

import json
from pathlib import Path

import pytest
from graphs import mlp, random

from onnx_evoq import MixedPrecision, Policy, optimize
from onnx_evoq.errors import OptionError, OutputError
from onnx_evoq.report import Search

POLICY = Policy({"first": 3, "second": 4})
SEARCH = Search(
    source="model.onnx", metric="mse", size="packed", seed=0, front=(), uniform=(), greedy=(),
    hypervolume={}, evaluations=7, seconds=1.0, stopped=None, notes=("its own note.",),
)  # fmt: skip


@pytest.fixture(scope="module")
def chosen() -> MixedPrecision:
    """A policy that was optimized after a search."""
    result = optimize(mlp(), random(16, 4), policy=POLICY, strategy="none")
    return MixedPrecision(SEARCH, POLICY, result, ("a note.",))


def test_the_policy_is_json_that_optimize_reads(chosen: MixedPrecision) -> None:
    assert json.loads(chosen.policy_json()) == POLICY.to_dict()


def test_the_policy_is_saved_as_a_file(chosen: MixedPrecision, tmp_path: Path) -> None:
    chosen.save_policy(tmp_path / "policy.json")
    assert (tmp_path / "policy.json").read_bytes() == chosen.policy_json()
    with pytest.raises(OutputError, match="is a folder"):
        chosen.save_policy(tmp_path)


def test_without_a_choice_there_is_no_policy() -> None:
    nothing = MixedPrecision(SEARCH, None, None, ())
    with pytest.raises(OptionError, match="nothing was chosen: give a budget"):
        nothing.policy_json()


def test_json_holds_the_search_the_point_and_the_model(
    chosen: MixedPrecision, tmp_path: Path
) -> None:
    values = json.loads(json.dumps(chosen.to_dict(tmp_path / "out.onnx")))
    assert values["evaluations"] == 7
    assert values["chosen"] == POLICY.to_dict()
    assert values["optimized"]["output"] == str(tmp_path / "out.onnx")
    assert values["notes"] == ["a note."]


def test_json_of_a_model_that_was_not_written_names_no_file(chosen: MixedPrecision) -> None:
    assert chosen.to_dict()["optimized"]["output"] is None


def test_json_without_a_search_holds_the_model_alone(chosen: MixedPrecision) -> None:
    values = MixedPrecision(None, POLICY, chosen.result, ()).to_dict()
    assert set(values) == {"chosen", "optimized", "notes"}


def test_json_without_a_choice_holds_the_search_alone() -> None:
    values = MixedPrecision(SEARCH, None, None, SEARCH.notes).to_dict()
    assert values == SEARCH.to_dict()
