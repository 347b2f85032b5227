"""The command verify: exit codes, and what it prints."""

import json
from pathlib import Path

import onnx
import pytest
from commands import error_of, invoke, json_of, received, run_command

SMALL = ("--strategy", "none", "--samples", 16, "--quiet")


@pytest.fixture
def emitted(mlp_file: Path) -> Path:
    file = mlp_file.with_name("net.w8.onnx")
    invoke("optimize", mlp_file, "--bits", 8, *SMALL, "-o", file)
    return file


def damaged(file: Path) -> Path:
    """The file with another bias."""
    other, model = file.with_name("damaged.onnx"), onnx.load(file)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "first_bias")
    values = onnx.numpy_helper.to_array(bias) + 1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, "first_bias"))
    onnx.save(model, other)
    return other


def test_a_model_that_is_as_written_passes(emitted: Path, mlp_file: Path) -> None:
    result = invoke("verify", emitted, "--reference", mlp_file)
    assert result.stdout.endswith("All is as recorded.\n")
    assert max(map(len, result.stdout.splitlines())) <= 80 + len(str(emitted))
    values = json_of("verify", emitted, "--reference", mlp_file)
    assert (values["ok"], values["weights"], values["is_reference"]) == (True, 2, True)
    assert values["recorded"] is not None


def test_a_changed_model_fails_with_exit_code_1(emitted: Path) -> None:
    result = run_command("verify", damaged(emitted))
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    assert "1 fault:" in text
    assert "its graph or its values were changed after it was written." in text
    values = json.loads(run_command("verify", damaged(emitted), "--json").stdout)
    assert (values["ok"], len(values["faults"])) == (False, 1)


def test_each_of_several_models_is_verified(emitted: Path) -> None:
    result = run_command("verify", damaged(emitted), emitted, "--json")
    assert result.exit_code == 1
    assert [json.loads(line)["ok"] for line in result.stdout.splitlines()] == [False, True]


def test_another_float_model_fails(emitted: Path, conv_file: Path) -> None:
    result = run_command("verify", emitted, "--reference", conv_file)
    assert result.exit_code == 1
    assert "is not the float model" in " ".join(result.stdout.split())


def test_a_model_without_a_record_is_one_sentence(mlp_file: Path) -> None:
    line = error_of("verify", mlp_file)
    assert line == (
        f"Error: {mlp_file}: holds no record of onnx-evoq: give a model that onnx-evoq wrote."
    )


def test_options_reach_the_function(
    mlp_file: Path, mlp_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = received(
        monkeypatch, "verify", mlp_file, "--reference", mlp_file, "--tolerance", 2, "--seed", 5,
        "--data", mlp_data,
    )  # fmt: skip
    assert (given["model"], given["reference"]) == (mlp_file, mlp_file)
    assert (given["tolerance"], given["seed"]) == (2.0, 5)
    assert given["data"].source == str(mlp_data)
