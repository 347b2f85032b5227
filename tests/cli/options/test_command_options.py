"""The options of single commands: their values, their defaults, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
from commands import misuse, received

from onnx_evoq import Grid, SearchSpace, Strategy


@pytest.fixture
def model(mlp_file: Path) -> Path:
    """A file of a model, which no function here runs."""
    return mlp_file


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ([], "bits", 4),
        (["--bits", 2], "bits", 2),
        (["--bits", 8], "bits", 8),
        ([], "bits_for", {}),
        (["--bits-for", "a*=8", "--bits-for", "b=2"], "bits_for", {"a*": 8, "b": 2}),
        (["--bits-for", "a=8", "--bits-for", "a=3"], "bits_for", {"a": 3}),
        ([], "strategy", Strategy()),
        (["--strategy", "coevolution"], "strategy", Strategy("coevolution")),
        (["--strategy", "none"], "strategy", Strategy("none")),
        (["--init", "nearest"], "strategy", Strategy(init="nearest")),
        (["--population", 1], "strategy", Strategy(population=1)),
        (["--generations", 0], "strategy", Strategy(generations=0)),
        (["--mutation-rate", 1], "strategy", Strategy(mutation_rate=1.0)),
        ([], "time_budget", 240.0),
        (["--time-budget", "90s"], "time_budget", 90.0),
        (["--time-budget", "none"], "time_budget", None),
        ([], "max_drop", None),
        (["--max-drop", 0], "max_drop", 0.0),
        (["--max-drop", 100], "max_drop", 100.0),
        ([], "format", None),
        ([], "target", None),
        (["--target", "vitis"], "target", "vitis"),
        (["--format", "float"], "format", "float"),
        (["--format", "c"], "format", "c"),
        ([], "grid", Grid("tensor", keep=())),
    ],
)
def test_the_options_of_optimize(
    model: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], name: str, value: Any
) -> None:
    assert received(monkeypatch, "optimize", model, "--bits", 4, *options)[name] == value


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ([], "grid", Grid("any", keep=())),
        (["--granularity", "tensor"], "grid", Grid("tensor", keep=())),
        ([], "space", SearchSpace()),
        (["--per-channel"], "space", SearchSpace(per_channel=True)),
        (["--expansion"], "space", SearchSpace()),
        (["--no-expansion"], "space", SearchSpace(expansion=False)),
        (["--size", "file"], "space", SearchSpace(size="file")),
        ([], "budget", None),
        (["--budget", "1.5kB"], "budget", 1500),
        ([], "max_drop", None),
        (["--max-drop", 2.5], "max_drop", 2.5),
        ([], "time_budget", 600.0),
        (["--time-budget", "2h"], "time_budget", 7200.0),
        ([], "tune_budget", None),
        (["--tune-budget", "2m"], "tune_budget", 120.0),
        (["--tune-budget", "none"], "tune_budget", None),
        ([], "policy", None),
    ],
)
def test_the_options_of_search(
    model: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], name: str, value: Any
) -> None:
    assert received(monkeypatch, "search", model, *options)[name] == value


@pytest.mark.parametrize("command", ["optimize", "search"])
def test_a_policy_is_a_file(model: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    policy = model.with_name("policy.json")
    assert "--policy" in misuse(command, model, "--policy", policy)
    policy.touch()
    assert received(monkeypatch, command, model, "--policy", policy)["policy"] == policy


def test_sensitivity_tries_4_bits_unless_others_are_given(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert received(monkeypatch, "sensitivity", model)["bits"] == 4
    assert received(monkeypatch, "sensitivity", model, "--bits", 2)["bits"] == 2


def test_a_reference_is_a_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert received(monkeypatch, "evaluate", model)["reference"] is None
    assert received(monkeypatch, "evaluate", model, "--reference", model)["reference"] == model
    assert "--reference" in misuse("evaluate", model, "--reference", model.with_name("missing"))


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("optimize", "--bits", "1"), ("optimize", "--bits", "9"), ("optimize", "--bits", "six"),
        ("optimize", "--bits-for", "first=9"), ("optimize", "--population", "0"),
        ("optimize", "--generations", "-1"), ("optimize", "--mutation-rate", "0"),
        ("optimize", "--mutation-rate", "1.1"), ("optimize", "--max-drop", "101"),
        ("optimize", "--max-drop", "-1"), ("optimize", "--time-budget", "soon"),
        ("optimize", "--time-budget", "0"), ("optimize", "--format", "int4"),
        ("optimize", "--granularity", "any"), ("optimize", "--strategy", "luck"),
        ("optimize", "--init", "zero"), ("sensitivity", "--bits", "9"),
        ("search", "--budget", "small"), ("search", "--size", "zip"),
        ("search", "--max-drop", "101"), ("search", "--tune-budget", "0"),
    ],
)  # fmt: skip
def test_misuse_names_the_option(model: Path, command: str, option: str, value: str) -> None:
    assert f"Invalid value for '{option}'" in misuse(command, model, option, value)
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]


def test_an_option_that_does_not_exist_is_misuse(model: Path) -> None:
    assert "--speed" in misuse("optimize", model, "--bits", 4, "--speed", "high")
