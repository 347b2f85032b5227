"""What can go wrong ends in one line that says what to do, and leaves no file behind."""

import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from graphs import conv_net, mlp, model_of, node, random
from onnx import ModelProto, external_data_helper, numpy_helper

from onnx_evoq.cli import main

SMALL = ["--bits", "4", "--population", "2", "--generations", "1"]
Save = Callable[..., Path]


def optimize(model: Path, *options: str | Path) -> Result:
    """Run optimize with a tiny search."""
    return CliRunner().invoke(main, ["optimize", str(model), *SMALL, *map(str, options)])


def refused(model: Path, *options: str | Path) -> str:
    """The one line that optimize ends with; it must leave every file as it was."""
    before = files(model.parent)
    line = error_of(optimize(model, *options))
    assert files(model.parent) == before
    return line


def files(folder: Path) -> dict[Path, bytes]:
    """All files below a folder, but for what Python caches of a user's function."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path: path.read_bytes() for path in found}


def error_of(result: Result) -> str:
    """The one line on stderr of a run that failed."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)  # anything else is a traceback
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


def external(folder: Path) -> tuple[Path, Path]:
    """A model whose weights lie in a file of their own, and that file."""
    path = folder / "model.onnx"
    onnx.save_model(
        mlp(), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path, folder / "weights.bin"


def with_weight(value: float) -> ModelProto:
    """A model with `value` as the first number of its first weight."""
    model = mlp()
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array.flat[0] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "first"))
    return model


# The model


@pytest.mark.parametrize("content", [b"no model at all", b"", b"\x00\xff\x12", b"PK\x03\x04zip"])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    line = refused(path)
    assert str(path) in line
    assert "not an ONNX file" in line
    assert "export" in line


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_named(mlp_file: Path, share: float) -> None:
    content = mlp_file.read_bytes()
    mlp_file.write_bytes(content[: int(share * len(content))])
    line = refused(mlp_file)
    assert str(mlp_file) in line


def test_external_data_that_are_missing_are_named(tmp_path: Path) -> None:
    path, data = external(tmp_path)
    data.unlink()
    line = refused(path)
    assert "'weights.bin'" in line
    assert "missing: put it beside the model" in line


def test_external_data_that_are_truncated_are_named(tmp_path: Path) -> None:
    path, data = external(tmp_path)
    data.write_bytes(data.read_bytes()[:-4])
    line = refused(path)
    assert "'weights.bin'" in line
    assert "truncated; copy it again" in line


@pytest.mark.parametrize("index", ["../weights.bin", "absolute"])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, index: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path, data = external(folder)
    data.rename(tmp_path / "weights.bin")
    location = str(tmp_path / "weights.bin") if index == "absolute" else index
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        entry = next(e for e in tensor.external_data if e.key == "location")
        entry.value = location
    path.write_bytes(model.SerializeToString())
    line = refused(path)
    assert "outside the model's folder: move the file beside the model" in line


def test_external_data_in_the_folder_are_read(tmp_path: Path) -> None:
    path, _ = external(tmp_path)
    assert external_data_helper.uses_external_data(
        onnx.load(path, load_external_data=False).graph.initializer[0]
    )
    assert optimize(path).exit_code == 0


def test_a_model_without_weights_is_refused(save: Save) -> None:
    path = save(model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {}))
    line = refused(path)
    assert f"{path}: has no weights to quantize" in line
    assert "onnx-evoq inspect says why" in line


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused(save: Save, value: float) -> None:
    assert "first" in refused(save(with_weight(value)))


def test_a_model_that_is_quantized_already_is_refused(mlp_file: Path) -> None:
    quantized = mlp_file.with_name("quantized.onnx")
    assert optimize(mlp_file, "-o", quantized).exit_code == 0
    line = refused(quantized)
    assert f"{quantized}: already quantized (it holds DequantizeLinear nodes)" in line
    assert "give the float model" in line


@pytest.mark.parametrize("opset", [5, 99])
def test_an_operator_set_that_is_not_supported_is_named(save: Save, opset: int) -> None:
    model = mlp()
    model.opset_import[0].version = opset
    line = refused(save(model))
    assert f"operator set {opset} is not supported: export the model with one from 7" in line


def test_a_model_that_onnx_finds_invalid_is_refused(save: Save) -> None:
    model = mlp()
    model.graph.node[0].input[1] = "nowhere"
    assert "not a valid ONNX model" in refused(save(model))


def test_a_model_that_onnx_runtime_cannot_load_is_refused(save: Save) -> None:
    model = mlp()
    model.graph.node[2].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    assert "ONNX Runtime cannot load it" in refused(save(model))


# The data


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"other": random(8, 4)}, "holds 'other', but the model's input is 'x'"),
        ({"x": random(8, 5)}, "has shape (8, 5), but the model takes"),
        ({"x": random(8, 4, 2)}, "has shape (8, 4, 2), but the model takes"),
        ({"x": np.array([["a"] * 4] * 8)}, "not numbers"),
        ({"x": random(8, 4).astype(complex)}, "holds complex128, not numbers"),
        ({"x": np.float32(1)}, "is a single number: give an array"),
        ({"x": random(0, 4)}, "holds no samples: give a few hundred"),
        ({"x": random(1, 4)}, "give at least two"),
        ({"x": np.full((8, 4), np.nan)}, "'x' holds NaN or infinity: clean the samples"),
        ({"x": np.full((8, 4), np.inf)}, "'x' holds NaN or infinity: clean the samples"),
        ({"x": random(8, 4), "y": np.arange(7)}, "8 samples but 7 labels in 'y'"),
        ({"x": random(8, 4), "y": np.full(8, 3)}, "number them from 0 to 2"),
        ({"x": random(8, 4), "y": np.full(8, -1)}, "number them from 0 to 2"),
        ({}, "holds no array, but the model's input is 'x'"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    mlp_file: Path, tmp_path: Path, arrays: dict[str, np.ndarray], named: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    assert named in refused(mlp_file, "--data", tmp_path / "bad.npz")


@pytest.mark.parametrize("labels", [np.full(8, 0.5), np.array(["cat"] * 8), np.eye(3)[[0] * 8]])
def test_labels_that_are_no_classes_are_refused_by_a_metric_of_labels(
    mlp_file: Path, tmp_path: Path, labels: np.ndarray
) -> None:
    np.savez(tmp_path / "bad.npz", x=random(8, 4), y=labels)
    message = refused(mlp_file, "--data", tmp_path / "bad.npz", "--metric", "top1")
    assert "hold no class numbers: give one whole number per sample" in message


def test_data_that_do_not_fit_are_named(mlp_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", x=random(8, 5))
    assert str(tmp_path / "bad.npz") in refused(mlp_file, "--data", tmp_path / "bad.npz")


def test_pickled_data_are_not_loaded(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, x=np.array([{"a": 1}, {"b": 2}], dtype=object))
    assert f"{path}: holds pickled objects" in refused(mlp_file, "--data", path)


@pytest.mark.parametrize("name", ["bad.npz", "bad.npy"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_data_that_cannot_be_read_are_named(mlp_file: Path, name: str, content: bytes) -> None:
    path = mlp_file.with_name(name)
    path.write_bytes(content)
    assert str(path) in refused(mlp_file, "--data", path)


@pytest.mark.parametrize("name", ["missing.npz", "missing.npy", "missing"])
def test_data_that_are_missing_are_named(mlp_file: Path, name: str) -> None:
    path = mlp_file.with_name(name)
    line = refused(mlp_file, "--data", path)
    assert str(path) in line
    assert "no such file" in line.lower()


def test_data_of_an_unknown_kind_are_refused(mlp_file: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2,3,4\n")
    line = refused(mlp_file, "--data", tmp_path / "data.csv")
    assert "neither .npz, .npy, a folder nor package.module:function" in line


def test_a_function_of_data_that_raises_is_named(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "feeds.py"
    path.write_text("def feeds():\n    raise RuntimeError('no disk')\n")
    line = refused(mlp_file, "--data", f"{path}:feeds")
    assert f"{path}:feeds" in line
    assert "no disk" in line


@pytest.mark.parametrize(
    "option", [["--divide", "255"], ["--mean", "1"], ["--std", "2"], ["--resize", "8"]]
)
def test_preprocessing_without_data_is_refused(mlp_file: Path, option: list[str]) -> None:
    line = refused(mlp_file, *option)
    assert f"{option[0][2:]} is given, but no data" in line


def test_a_range_of_synthetic_inputs_beside_data_is_refused(mlp_file: Path, mlp_data: Path) -> None:
    line = refused(mlp_file, "--data", mlp_data, "--input-range", "0,1")
    assert "input_range is for synthetic inputs: leave it out" in line


def test_means_that_are_not_one_per_channel_are_refused(conv_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=random(8, 3, 8, 8))
    line = refused(conv_file, "--data", tmp_path / "images.npz", "--mean", "1,2")
    assert "'x' has 3 channels but 2 values of mean" in line


# The metric


def test_an_unknown_metric_is_refused(mlp_file: Path) -> None:
    line = refused(mlp_file, "--metric", "accuracy")
    assert "unknown metric 'accuracy': choose auto, mse" in line


@pytest.mark.parametrize("metric", ["top1", "top5", "cross_entropy"])
def test_a_metric_that_needs_labels_says_so(mlp_file: Path, metric: str) -> None:
    line = refused(mlp_file, "--metric", metric)
    assert repr(metric) in line
    assert "labels" in line


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("raise ValueError('bad sum')", "failed: ValueError: bad sum"),
        ("return float('nan')", "returns NaN"),
        ("return 'high'", "returned str: return one number"),
        ("return None", "returned NoneType: return one number"),
    ],
)
def test_a_metric_that_fails_is_named(
    mlp_file: Path, tmp_path: Path, body: str, named: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def score(outputs, labels):\n    {body}\n\n\nscore.higher_is_better = True\n")
    line = refused(mlp_file, "--metric", f"{path}:score")
    assert f"{path}:score" in line
    assert named in line


def test_a_metric_must_say_which_way_is_better(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def score(outputs, labels):\n    return 1.0\n")
    line = refused(mlp_file, "--metric", f"{path}:score")
    assert "set score.higher_is_better = True (or False)" in line


@pytest.mark.parametrize(
    ("function", "named"),
    [
        ("mine.py:other", "no function named 'other'"),
        ("missing.py:score", "no such file"),
        ("broken.py:score", "SyntaxError"),
    ],
)
def test_a_metric_that_cannot_be_imported_is_named(
    mlp_file: Path, tmp_path: Path, function: str, named: str
) -> None:
    (tmp_path / "mine.py").write_text("def score(outputs, labels):\n    return 1.0\n")
    (tmp_path / "broken.py").write_text("def score(:\n")
    line = refused(mlp_file, "--metric", f"{tmp_path}/{function}")
    assert function.partition(":")[0] in line
    assert named in line


# The options


@pytest.mark.parametrize(("option", "value"), [("keep", "nothing*"), ("bits-for", "nothing*=8")])
def test_a_pattern_that_matches_nothing_is_refused(mlp_file: Path, option: str, value: str) -> None:
    line = refused(mlp_file, f"--{option}", value)
    assert f"{option} 'nothing*' matches no weight: the weights are first, second" in line


def test_keeping_every_weight_is_refused(mlp_file: Path) -> None:
    assert "leaves no weight to quantize: keep fewer" in refused(mlp_file, "--keep", "*")


def test_an_unknown_provider_is_refused(mlp_file: Path) -> None:
    line = refused(mlp_file, "--providers", "abacus,cpu")
    assert "provider 'abacus' is not available: choose among" in line
    assert "CPUExecutionProvider" in line


@pytest.mark.parametrize("output", ["missing/out.onnx", "folder"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, output: str
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"not looked at yet")
    (tmp_path / "folder").mkdir()
    line = refused(model, "-o", tmp_path / output)
    assert f"Error: {tmp_path / output}: " in line


def test_an_older_output_stays_whole_when_a_run_fails(mlp_file: Path, tmp_path: Path) -> None:
    older = tmp_path / "out.onnx"
    older.write_bytes(b"older")
    refused(mlp_file, "-o", older, "--metric", "accuracy")
    assert older.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--bits", "1"], "--bits"),
        (["--bits", "9"], "--bits"),
        (["--bits", "six"], "--bits"),
        ([], "--bits"),
        (["--bits", "4", "--holdout", "0"], "--holdout"),
        (["--bits", "4", "--holdout", "1"], "--holdout"),
        (["--bits", "4", "--time-budget", "soon"], "--time-budget"),
        (["--bits", "4", "--time-budget", "0"], "--time-budget"),
        (["--bits", "4", "--bits-for", "first=9"], "--bits-for"),
        (["--bits", "4", "--population", "0"], "--population"),
        (["--bits", "4", "--generations", "-1"], "--generations"),
        (["--bits", "4", "--mutation-rate", "0"], "--mutation-rate"),
        (["--bits", "4", "--max-drop", "101"], "--max-drop"),
        (["--bits", "4", "--samples", "0"], "--samples"),
        (["--bits", "4", "--input-range", "1,0"], "--input-range"),
        (["--bits", "4", "--granularity", "row"], "--granularity"),
        (["--bits", "4", "--format", "int4"], "--format"),
        (["--bits", "4", "--speed", "high"], "--speed"),
    ],
)
def test_misuse_names_the_option(mlp_file: Path, options: list[str], named: str) -> None:
    result = CliRunner().invoke(main, ["optimize", str(mlp_file), *options])
    assert result.exit_code == 2
    assert named in result.stderr
    assert [path.name for path in mlp_file.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("command", ["optimize", "sensitivity", "evaluate", "inspect"])
def test_a_model_that_is_missing_is_misuse(tmp_path: Path, command: str) -> None:
    result = CliRunner().invoke(main, [command, str(tmp_path / "missing.onnx")])
    assert result.exit_code == 2
    assert "missing.onnx" in result.stderr


# The other commands


@pytest.mark.parametrize("command", ["sensitivity", "evaluate", "inspect"])
def test_every_command_ends_a_failure_in_one_line(tmp_path: Path, command: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model at all")
    assert str(path) in error_of(CliRunner().invoke(main, [command, str(path)]))


def test_an_evaluation_against_nothing_is_refused(mlp_file: Path) -> None:
    line = error_of(CliRunner().invoke(main, ["evaluate", str(mlp_file)]))
    assert "there is nothing to score against: give data with labels" in line


def test_an_evaluation_against_another_model_is_refused(mlp_file: Path, save: Save) -> None:
    other = save(conv_net(), "other.onnx")
    arguments = ["evaluate", str(mlp_file), "--reference", str(other)]
    assert str(other) in error_of(CliRunner().invoke(main, arguments))


def test_the_model_itself_is_no_output(mlp_file: Path) -> None:
    before = mlp_file.read_bytes()
    message = error_of(optimize(mlp_file, "--output", mlp_file))
    assert "model.onnx: is the model itself: name another file" in message
    assert mlp_file.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "file", "given"),
    [
        ("data", "data.npz", "data.npz"),
        ("data", "feeds.py", "feeds.py:feeds"),
        ("labels", "labels.csv", "labels.csv"),
        ("config", "evoq.toml", "evoq.toml"),
        ("metric", "mine.py", "mine.py:score"),
    ],
)
def test_what_is_read_is_no_output(mlp_file: Path, option: str, file: str, given: str) -> None:
    folder = mlp_file.parent
    (folder / file).touch()
    line = refused(mlp_file, f"--{option}", folder / given, "-o", folder / file)
    assert f"{folder / file}: is what --{option} reads: name another file" in line


@pytest.mark.parametrize("command", ["optimize", "search"])
def test_the_policy_that_is_read_is_no_output(mlp_file: Path, command: str) -> None:
    policy = mlp_file.with_name("policy.json")
    policy.write_text("{}")
    arguments = [command, str(mlp_file), "--policy", str(policy), "-o", str(policy)]
    line = error_of(CliRunner().invoke(main, arguments))
    assert f"{policy}: is what --policy reads: name another file" in line
    assert policy.read_text() == "{}"


def test_standard_output_holds_a_model_or_json(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"not looked at yet")
    line = refused(model, "-o", "-", "--json")
    assert "--json writes to standard output, too: name a file for the output" in line


def test_a_name_that_is_too_long_is_no_output(mlp_file: Path) -> None:
    assert "choose another place" in refused(mlp_file, "--output", "x" * 300)


def test_external_data_at_no_place_are_refused(tmp_path: Path) -> None:
    path, _ = external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "offset":
            entry.value = "soon"
    path.write_bytes(model.SerializeToString())
    assert "offset and length must be whole numbers" in refused(path)


@pytest.mark.parametrize("option", ["--divide", "--std"])
def test_a_divisor_of_zero_is_named(mlp_file: Path, mlp_data: Path, option: str) -> None:
    message = refused(mlp_file, "--data", mlp_data, option, "0")
    assert f"{option[2:]} is 0" in message


def test_a_negative_seed_is_misuse(mlp_file: Path) -> None:
    result = optimize(mlp_file, "--seed", "-1")
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_arrays_are_read_whatever_their_file_is_called(mlp_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", random(20, 4))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez(tmp_path / "several.npz", x=random(20, 4))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    for name in ("one.npz", "several.npy"):
        assert optimize(mlp_file, "--data", tmp_path / name).exit_code == 0


def test_a_module_that_exits_is_named(mlp_file: Path, tmp_path: Path) -> None:
    code = tmp_path / "leaving.py"
    code.write_text("raise SystemExit(3)\n")
    assert "SystemExit: 3" in refused(mlp_file, "--metric", f"{code}:score")


# Searches and policies


def search(model: Path, *options: object) -> Result:
    """Run search for as short a time as can be."""
    arguments = ["search", model, "--time-budget", "0.001s", *options]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_budget_that_nothing_meets_names_the_smallest_size(mlp_file: Path) -> None:
    before = files(mlp_file.parent)
    result = search(mlp_file, "--budget", "40B", "-q")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {mlp_file}: the smallest packed size that was reached is 49 bytes (49 B), more "
        "than the budget of 40 bytes: allow that much.\n"
    )
    assert "uniform" in result.stdout  # what was found is shown
    assert files(mlp_file.parent) == before


def test_what_was_found_is_told_with_its_notes(mlp_file: Path) -> None:
    result = search(mlp_file, "--budget", "40B", "--json")
    assert len(json.loads(result.stdout)["uniform"]) == 7
    assert "Note: the time budget cut the search short" in result.stderr


def test_a_drop_that_nothing_meets_names_the_least(mlp_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=random(200, 4))
    options = ["--data", tmp_path / "many.npz", "--budget", "55B", "--max-drop", "0", "-q"]
    line = search(mlp_file, *options).stderr
    assert f"Error: {mlp_file}: no size up to 55 B drops by 0 percent or less: the least is" in line


@pytest.mark.parametrize("option", ["--output", "--save-policy"])
def test_without_a_choice_there_is_nothing_to_write(mlp_file: Path, option: str) -> None:
    line = error_of(search(mlp_file, option, "file"))
    assert f"{option} needs a choice: give --budget, --max-drop or --policy" in line


@pytest.mark.parametrize("options", [["--budget", "1kB"], ["--picture", "front.png"]])
def test_a_policy_makes_no_search(mlp_file: Path, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "policy.json").write_text("{}")
    line = error_of(search(mlp_file, "--policy", tmp_path / "policy.json", *options))
    assert "--policy makes no search: leave --budget and --picture out" in line


@pytest.mark.parametrize("options", [[], ["--bits", "4", "--policy", "policy.json"]])
def test_optimize_takes_bits_or_a_policy(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy.json").write_text("{}")
    result = CliRunner().invoke(main, ["optimize", str(mlp_file), *options])
    assert result.exit_code == 2
    assert "Give either --bits or --policy" in result.stderr


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("no json", "cannot be read as JSON"),
        ("{}", "is no policy, which looks like"),
        ('{"bits": {"first": 4}}', "the policy has no bits for 'second'"),
        ('{"bits": {"first": 4, "second": 4, "w": 4}}', "the policy names 'w'"),
        ('{"bits": {"first": 4, "second": [4]}}', "has 1 widths for 'second', which has 3"),
        (
            '{"bits": {"first": 4, "second": 4}, "expansion": {"second": 0.5}}',
            "the channels of 'second' cannot be split: its output is an output of the model",
        ),
    ],
)
@pytest.mark.parametrize("command", ["optimize", "search"])
def test_a_policy_that_does_not_fit_is_refused(
    mlp_file: Path, tmp_path: Path, content: str, text: str, command: str
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(content)
    before = files(tmp_path)
    arguments = [command, str(mlp_file), "--policy", str(policy)]
    assert text in error_of(CliRunner().invoke(main, arguments))
    assert files(tmp_path) == before


@pytest.mark.parametrize("option", ["--picture", "--save-policy", "--output"])
def test_a_place_that_cannot_be_written_is_refused_before_the_search(
    mlp_file: Path, option: str
) -> None:
    line = error_of(search(mlp_file, "--budget", "1MB", option, mlp_file.parent / "no" / "file"))
    assert "no" in line


@pytest.mark.parametrize(
    ("one", "other"), [("out", "out"), ("out", "link"), ("-", "-"), ("pipe", "pipe")]
)
def test_two_outputs_are_two_files(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    monkeypatch.chdir(mlp_file.parent)
    Path("link").symlink_to("out")
    os.mkfifo("pipe")
    line = error_of(search(mlp_file, "--budget", "1MB", "-o", one, "--save-policy", other))
    assert f"Error: {other}: another output goes there, too: name another file" in line


def test_standard_output_holds_a_policy_or_json(mlp_file: Path) -> None:
    line = error_of(search(mlp_file, "--budget", "1MB", "--save-policy", "-", "--json"))
    assert "--json writes to standard output, too" in line


def test_a_picture_on_standard_output_has_no_kind(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    assert "-: is no kind of picture" in error_of(search(mlp_file, "--picture", "-"))


def test_without_matplotlib_no_search_begins(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    line = error_of(search(mlp_file, "--picture", mlp_file.with_name("front.png")))
    assert "drawing needs Matplotlib: pip install 'onnx-evoq[report]'" in line


def test_a_kind_of_picture_that_is_unknown_is_refused_before_the_search(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    line = error_of(search(mlp_file, "--picture", mlp_file.with_name("front.docx")))
    assert "front.docx: is no kind of picture that Matplotlib writes: name it .png" in line


@pytest.mark.parametrize("content", [b"no model at all", b""])
def test_search_names_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert f"{path}" in error_of(search(path))


def test_a_budget_is_a_size(mlp_file: Path) -> None:
    result = search(mlp_file, "--budget", "small")
    assert result.exit_code == 2
    assert "--budget" in result.stderr


@pytest.mark.parametrize("option", ["--save-policy", "--output", "--picture"])
def test_search_does_not_write_over_the_model(mlp_file: Path, option: str) -> None:
    before = mlp_file.read_bytes()
    line = error_of(search(mlp_file, "--budget", "1MB", option, mlp_file))
    assert f"{mlp_file}: is the model itself: name another file" in line
    assert mlp_file.read_bytes() == before


# The disk and the memory


@pytest.mark.parametrize("files", [0, 3, 6, 8])
def test_a_full_disk_ends_any_stage_in_one_line(
    mlp_file: Path, mlp_data: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    made: list[int] = []

    def make(**given: Any) -> Any:
        if len(made) == files:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(1)
        return temporary_file(**given)

    temporary_file = tempfile.TemporaryFile
    older = mlp_file.with_name("out.onnx")
    older.write_bytes(b"older")
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    line = refused(mlp_file, "--data", mlp_data, "--memory", "0", "-o", older)
    assert f"no room for temporary files in {tempfile.gettempdir()}" in line
    assert "(No space left on device): set TMPDIR to a folder with more room" in line


@pytest.mark.parametrize("command", ["search", "sensitivity"])
def test_a_missing_folder_of_temporary_files_is_named(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    nowhere = str(mlp_file.parent / "nowhere")
    monkeypatch.setattr(tempfile, "tempdir", nowhere)
    line = error_of(CliRunner().invoke(main, [command, str(mlp_file), "--memory", "0", "-q"]))
    assert f"no room for temporary files in {nowhere}" in line


def test_a_lack_of_memory_ends_in_one_line(mlp_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 8 GiB")

    monkeypatch.setattr("onnx_evoq.optimize", fail)
    line = refused(mlp_file)
    assert "there is not enough memory (Unable to allocate 8 GiB): use fewer samples" in line
