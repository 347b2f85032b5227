"""The command line as a whole: its help, its width, its exit codes, and its streams."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
from commands import FUNCTIONS, error_of, invoke, json_of, refused
from graphs import mlp, model_of, node, random

from onnx_evoq.cli import main

COMMANDS = list(FUNCTIONS)
Save = Callable[..., Path]


# The help


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_no_line_of_the_help_passes_80_columns(command: str) -> None:
    lines = invoke(*command.split(), "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_explains_every_option(command: str) -> None:
    shown = invoke(command, "--help").stdout
    options = [p for p in main.commands[command].params if isinstance(p, click.Option)]
    assert all(option.help for option in options)
    assert [name for option in options for name in option.opts if name not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_shows_every_default(command: str) -> None:
    for option in main.commands[command].params:
        if isinstance(option.default, str | int | float) and option.default is not False:
            assert isinstance(option, click.Option)
            assert option.show_default, option.name


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_lists_every_command(option: str) -> None:
    shown = invoke(option).stdout
    assert [command for command in COMMANDS if f"  {command} " not in shown] == []


def test_versions_are_those_of_the_packages() -> None:
    said = ", ".join(
        f"{name} {version(name)}" for name in ("onnx-evoq", "onnx", "onnxruntime", "numpy")
    )
    assert invoke("--version").stdout == f"{said}\n"


# The width of what is printed


def long_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with names of weights that fill a line."""
    prefix = "encoder.layers.11.attention.self.query.projection.quantizable.parametrizations."
    old = {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        tensor.name = prefix + tensor.name
    for each in model.graph.node:
        each.input[:] = [prefix + name if name in old else name for name in each.input]
    return model


@pytest.mark.parametrize(
    "arguments",
    [
        ["optimize", "model.onnx", "--bits", "3", "--strategy", "none", "--data", "data.npz"],
        ["search", "model.onnx", "--samples", "16", "--time-budget", "0.001s", "--budget", "1MB",
         "--tune-budget", "0.001s"],
        ["sensitivity", "model.onnx", "--metric", "cross_entropy", "--data", "data.npz"],
        ["evaluate", "model.onnx", "--data", "data.npz", "--reference", "model.onnx"],
        ["inspect", "model.onnx"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_no_line_passes_80_columns(
    tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # a path is printed as it was given
    save(long_names(mlp()))
    np.savez("data.npz", x=random(16, 4), y=np.arange(16) % 3)
    assert max(map(len, invoke(*arguments).stdout.splitlines())) <= 80


def test_many_widths_are_listed_within_80_columns(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a path is printed as it was given
    weights = {f"w{k}": random(4, 4, seed=k) for k in range(12)}
    nodes = [node("MatMul", [f"t{k}" if k else "x", f"w{k}"], [f"t{k + 1}"]) for k in range(12)]
    save(model_of(nodes, {"x": ["n", 4]}, {"t12": ["n", 4]}, weights))
    bits = {f"w{k}": [2 + k % 6, 3 + k % 6, 2, 2 + k % 5] for k in range(12)}
    Path("policy.json").write_text(json.dumps({"bits": bits}))
    options = ["--policy", "policy.json", "--strategy", "none", "--init", "nearest"]
    lines = invoke("optimize", "model.onnx", *options, "--samples", "16").stdout.splitlines()
    assert max(map(len, lines)) <= 80


# The streams


def test_the_module_is_a_program_that_writes_to_standard_output_and_draws_no_bars_in_a_file(
    mlp_file: Path, mlp_data: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"older ")
    options = ["--bits", "4", "--population", "2", "--generations", "1", "--data", mlp_data]
    program = [sys.executable, "-m", "onnx_evoq", "optimize", mlp_file, *options, "-o", log]
    with log.open("ab") as file:
        done = subprocess.run(program, stdout=file, stderr=subprocess.PIPE, text=True, check=True)
    assert log.read_bytes().startswith(b"older ")
    onnx.checker.check_model(onnx.load_from_string(log.read_bytes().removeprefix(b"older ")))
    assert "nearest " in done.stderr  # the table
    assert "%|" not in done.stderr  # as bars have


# Failures


@pytest.mark.parametrize("command", ["search", "sensitivity", "evaluate", "inspect"])
def test_every_command_ends_a_failure_in_one_line(tmp_path: Path, command: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model at all")
    assert str(path) in error_of(command, path)


@pytest.mark.parametrize(
    ("cause", "text"),
    [("Unable to allocate 8 GiB", "Unable to allocate 8 GiB"), ("", "it ran out")],
)
def test_a_lack_of_memory_ends_in_one_line(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, cause: str, text: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError(cause)

    monkeypatch.setattr("onnx_evoq.optimize", fail)
    assert f"there is not enough memory ({text}): use fewer samples" in refused(mlp_file)


# The short commands


def test_inspect_shows_weights_and_the_rest(conv_file: Path) -> None:
    shown = invoke("inspect", conv_file).stdout
    assert "w1      Conv  6x3x3x3" in shown
    assert "1 BatchNormalization" in shown
    assert "bias or state of Gemm: biases stay float" in shown


def test_inspect_prints_one_object(conv_file: Path) -> None:
    values = json_of("inspect", conv_file)
    assert [weight["name"] for weight in values["weights"]] == ["w1", "w2", "w3"]
    assert [weight["axis"] for weight in values["weights"]] == [0, 0, 1]
    assert all(skipped["reason"] for skipped in values["skipped"])


def test_inspect_says_which_channels_can_be_split(mlp_file: Path) -> None:
    reason = "its output is an output of the model (logits)"
    shown = invoke("inspect", mlp_file).stdout
    assert f"Channels that cannot be split:\n     1  {reason}: second\n" in shown
    values = json_of("inspect", mlp_file)
    assert [weight["no_expansion"] for weight in values["weights"]] == [None, reason]


@pytest.mark.parametrize(("metric", "falls"), [("mse", False), ("cosine", True)])
def test_sensitivity_ranks_the_least_sensitive_first(
    mlp_file: Path, metric: str, falls: bool
) -> None:
    values = json_of("sensitivity", mlp_file, "--metric", metric, "--samples", 16)
    scores = [row["score"] for row in values["rows"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=falls)


def test_sensitivity_prints_a_table_and_writes_no_file(mlp_file: Path) -> None:
    result = invoke("sensitivity", mlp_file, "--samples", 16)
    assert "weight, least sensitive first" in result.stdout
    assert result.stderr.startswith("Note: no data were given")
    assert [path.name for path in mlp_file.parent.iterdir()] == ["model.onnx"]


def test_a_table_names_a_metric_of_the_user_without_its_file(
    mlp_file: Path, mlp_data: Path
) -> None:
    code = mlp_file.with_name("a_rather_long_file_name_for_metrics.py")
    code.write_text("def mine(outputs, labels):\n    return 1.0\nmine.higher_is_better = True\n")
    shown = invoke("sensitivity", mlp_file, "--data", mlp_data, "--metric", f"{code}:mine").stdout
    assert "mine" in shown
    assert "long_file_name" not in shown


def test_evaluate_prints_one_object(mlp_file: Path, mlp_data: Path) -> None:
    values = json_of("evaluate", mlp_file, "--data", mlp_data)
    assert (values["metric"], values["samples"]) == ("top1", 64)
    assert 0 <= values["value"] <= 1
    assert not {"agreement", "mse", "kl"} & set(values)


def test_evaluate_prints_a_table_and_notes(mlp_file: Path) -> None:
    result = invoke("evaluate", mlp_file, "--reference", mlp_file, "--samples", 12)
    assert result.stdout.splitlines()[0].split() == ["metric", "value"]
    assert result.stdout.splitlines()[-1].split() == ["samples", "12"]
    assert result.stderr.startswith("Note: no data were given")
    assert invoke("evaluate", mlp_file, "--reference", mlp_file, "-q").stderr == ""


def test_a_model_agrees_with_itself(mlp_file: Path) -> None:
    values = json_of("evaluate", mlp_file, "--reference", mlp_file)
    assert (values["agreement"], values["mse"], values["kl"]) == (1, 0, pytest.approx(0))


def test_nan_and_infinity_are_null_in_json(mlp_file: Path, mlp_data: Path) -> None:
    broken = mlp()
    values = random(4, 6)
    values[0, 0] = np.nan
    broken.graph.initializer[0].raw_data = values.tobytes()
    path = mlp_file.with_name("broken.onnx")
    path.write_bytes(broken.SerializeToString())
    result = invoke("evaluate", mlp_file, "--data", mlp_data, "--reference", path, "--json")
    assert json.loads(result.stdout)["mse"] is None
    noted = " ".join(result.stderr.split())
    assert "broken.onnx: output 'logits' is NaN or infinite for 64 of 64 samples" in noted


def test_an_evaluation_without_anything_to_compare_with_is_refused(mlp_file: Path) -> None:
    line = error_of("evaluate", mlp_file)
    assert "there is nothing to score against: give data with labels" in line


def test_an_evaluation_against_an_unlike_model_is_refused(mlp_file: Path, conv_file: Path) -> None:
    other = mlp_file.with_name("other.onnx")
    renamed = model_of(
        [node("MatMul", ["z", "w"], ["y"])], {"z": ["n", 5]}, {"y": ["n", 3]}, {"w": random(5, 3)}
    )
    other.write_bytes(renamed.SerializeToString())
    line = error_of("evaluate", mlp_file, "--reference", other)
    assert f"{mlp_file}: takes an input 'x' that the other model does not" in line
