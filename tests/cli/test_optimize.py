"""The command optimize: what it writes and prints."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from commands import error_of, invoke, json_of, misuse, refused
from graphs import mlp, model_of, node, random

import onnx_evoq
from onnx_evoq.report.texts.text import size

TINY = ["--population", 4, "--generations", 1, "--time-budget", "none"]
ROUNDING = ["--strategy", "none", "--init", "nearest"]


class Run:
    """A tiny run of optimize with --json and labelled samples, and one that prints its table."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(7)
        self.model, self.data = folder / "model.onnx", folder / "data.npz"
        self.model.write_bytes(mlp().SerializeToString())
        self.before = self.model.read_bytes()
        x = rng.standard_normal((64, 4)).astype(np.float32)
        np.savez(self.data, x=x, y=rng.integers(0, 3, size=64))
        arguments = ["optimize", self.model, "--bits", 6, *TINY]
        self.values: dict[str, Any] = json_of(*arguments, "--data", self.data)
        self.written = folder / "model.w6.onnx"
        self.other = folder / "other.onnx"
        self.printed: Result = invoke(*arguments, "--samples", 16, "-o", self.other)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("optimize"))


def optimize(model: Path, *options: object, bits: int = 4) -> dict[str, Any]:
    """What optimize prints with --json for nearest rounding."""
    usual = (*ROUNDING, "--samples", 16)
    return json_of("optimize", model, "--bits", bits, *usual, *options)


def layers(values: dict[str, Any], key: str) -> dict[str, Any]:
    """One value per layer by its name."""
    return {layer["name"]: layer[key] for layer in values["layers"]}


# The file


def test_the_model_is_written_beside_the_float_model(run: Run) -> None:
    onnx.checker.check_model(onnx.load(run.written))
    assert run.values["output"] == str(run.written)


def test_integer_activations_have_a_file_and_a_line_of_their_own(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(mlp().SerializeToString())
    values = optimize(model, "--activations", 6)
    assert values["output"] == str(tmp_path / "net.w4a6.onnx")
    assert {each["bits"] for each in values["activations"]} == {6, 8}
    usual = ("--bits", 4, *ROUNDING, "--samples", 16, "--activation-scale", "float")
    printed = invoke("optimize", model, *usual, "--activations", 8).output
    assert "activations (" in printed
    assert misuse("optimize", model, "--bits", 4, "--activations", 1)


def test_the_float_model_stays_as_it_is(run: Run) -> None:
    assert run.model.read_bytes() == run.before


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_model_is_written_where_the_user_says(
    mlp_file: Path, tmp_path: Path, option: str
) -> None:
    values = optimize(mlp_file, option, tmp_path / "other.onnx")
    assert values["output"] == str(tmp_path / "other.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "other.onnx"]


def test_the_name_of_the_file_says_the_width(mlp_file: Path, tmp_path: Path) -> None:
    optimize(mlp_file, bits=3)
    policy = tmp_path / "policy.json"
    policy.write_text('{"bits": {"first": 4, "second": 8}}')
    json_of("optimize", mlp_file, "--policy", policy, *ROUNDING, "--samples", 16)
    names = {path.name for path in tmp_path.glob("*.onnx")}
    assert names == {"model.onnx", "model.w3.onnx", "model.mixed.onnx"}


def test_a_dash_is_standard_output_and_the_table_goes_to_stderr(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["optimize", mlp_file, "--bits", 4, *ROUNDING, "-q", "-o"]
    table = invoke(*arguments, "named.onnx").stdout
    result = invoke(*arguments, "-")
    assert result.stdout_bytes == Path("named.onnx").read_bytes()
    assert len(result.stderr.splitlines()) == len(table.splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "named.onnx"]


@pytest.mark.parametrize("form", ["qdq", "float"])
def test_only_the_qdq_format_has_dequantization(mlp_file: Path, form: str) -> None:
    emitted = onnx.load(optimize(mlp_file, "--format", form)["output"])
    kinds = {node.op_type for node in emitted.graph.node}
    assert ("DequantizeLinear" in kinds) == (form == "qdq")


@pytest.mark.parametrize(("options", "kind"), [([], "w4"), (["--activations", 8], "w4a8")])
def test_a_c_header_is_written_instead_of_a_model(
    mlp_file: Path, options: list[object], kind: str
) -> None:
    values = optimize(mlp_file, "--format", "c", *options)
    written = mlp_file.with_name(f"model.{kind}.h")
    assert values["output"] == str(written)
    assert "static const int8_t layer2_codes[18]" in written.read_text()
    assert values["bytes_after"] == written.stat().st_size
    assert sorted(mlp_file.parent.iterdir()) == sorted([mlp_file, written])


def test_a_c_header_has_no_notes_on_runtimes(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--format", "c")
    assert any("MNN" in note for note in optimize(mlp_file)["notes"])
    assert not any("MNN" in note or "session." in note for note in values["notes"])


def test_a_model_without_a_layer_for_a_c_header_is_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["onnx_evoq.api.optimize"], "fine_tune", None)
    file = tmp_path / "stacked.onnx"
    nodes = [node("MatMul", ["x", "w"], ["y"], "only")]
    onnx.save(model_of(nodes, {"x": [2, 3, 5]}, {"y": None}, {"w": random(2, 5, 4)}), file)
    line = refused(file, "--format", "c")
    assert f"{file}: no layer can be in a C header, MatMul 'only' with weight 'w'" in line


def test_a_c_header_is_that_of_the_model_with_the_same_options(mlp_file: Path) -> None:
    header = Path(optimize(mlp_file, "--format", "c")["output"]).read_text()
    emitted = optimize(mlp_file, "--storage", "int8")["output"]
    assert header == onnx_evoq.c_header(emitted)
    options = ["--bits", 4, *ROUNDING, "--samples", 16, "-q"]
    assert invoke("optimize", mlp_file, *options, "--format", "c", "-o", "-").stdout == header


@pytest.mark.parametrize("options", [("--format", "qonnx"), ("--target", "qonnx")])
def test_a_file_in_qonnx_has_a_name_of_its_own(mlp_file: Path, options: tuple[str, str]) -> None:
    output = Path(optimize(mlp_file, *options)["output"])
    assert output.name == "model.w4.qonnx.onnx"
    assert "Quant" in {node.op_type for node in onnx.load(output).graph.node}
    for command in ("evaluate", "inspect"):
        assert "(it holds Quant nodes): give" in error_of(command, output)


# The table


def test_there_is_a_row_per_model(run: Run) -> None:
    lines = run.printed.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["float", "nearest", "start", "evolved"]


def test_the_table_ends_in_sizes_and_the_file(run: Run) -> None:
    lines = run.printed.stdout.splitlines()
    before, after = size(len(run.before)), size(run.other.stat().st_size)
    packed = 18 + 14 + 2 + 36  # 24 and 18 codes of 6 bits, two steps and the biases
    assert f"{before} -> {after} (packed {packed} B)  {run.other}" in lines


def test_a_start_from_nearest_rounding_has_no_row_of_its_own(mlp_file: Path) -> None:
    options = ["--bits", 6, "--strategy", "none", "--init", "nearest", "--samples", 16]
    lines = invoke("optimize", mlp_file, *options).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["float", "nearest", "emitted"]


def test_top1_is_shown_where_labels_exist(mlp_file: Path, mlp_data: Path) -> None:
    options = ["--bits", 6, "--strategy", "none", "--data", mlp_data]
    lines = invoke("optimize", mlp_file, *options).stdout.splitlines()
    assert "top1 search" in lines[0]
    assert all(line.endswith("%") for line in lines[1:4])


# The notes


def test_without_data_a_note_says_that_real_samples_do_better(run: Run) -> None:
    assert run.printed.stderr.startswith("Note: no data were given")
    assert "real samples would do better" in " ".join(run.printed.stderr.split())


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_quiet_leaves_the_notes_out(mlp_file: Path, option: str) -> None:
    options = ["--bits", 6, *ROUNDING, "--samples", 16, option]
    assert invoke("optimize", mlp_file, *options).stderr == ""


# JSON


def test_json_holds_the_result(run: Run) -> None:
    assert {
        "model", "output", "bits", "granularity", "scale", "seed", "weights", "bytes_before",
        "bytes_after", "packed_bytes", "metric", "scores", "layers", "evaluations", "seconds",
    } <= set(run.values)  # fmt: skip
    values = run.values
    assert values["model"] == str(run.model)
    assert (values["bits"], values["weights"], values["metric"]) == (6, 2, "mse")


def test_bytes_are_those_of_the_files(run: Run) -> None:
    assert run.values["bytes_before"] == len(run.before)
    assert run.values["bytes_after"] == run.written.stat().st_size


def test_every_model_has_scores_and_top1_on_both_sets(run: Run) -> None:
    scores = run.values["scores"]
    assert set(scores) == {"reference", "nearest", "start", "evolved"}
    for score in scores.values():
        assert set(score) == {"search", "heldout", "top1"}
        assert all(0 <= share <= 1 for share in score["top1"].values())


def test_every_layer_has_its_grid_and_its_scores(run: Run) -> None:
    assert len(run.values["layers"]) == 2
    for layer in run.values["layers"]:
        assert set(layer) == {"name", "bits", "frac_bits", "sensitivity", "before", "after"}
        assert layer["after"]["heldout"] <= layer["before"]["heldout"]


def test_layers_have_no_sensitivity_where_their_order_has_no_effect(run: Run) -> None:
    assert layers(run.values, "sensitivity") == {"first": None, "second": None}


def test_evaluate_repeats_the_score_of_the_file(run: Run) -> None:
    arguments = ["--data", run.data, "--reference", run.model, "--metric", "mse"]
    again = json_of("evaluate", run.written, *arguments)
    score = run.values["scores"]["evolved"]
    assert again["value"] == pytest.approx((48 * score["search"] + 16 * score["heldout"]) / 64)
    assert 0 < again["agreement"] <= 1


# Options that meet each other


@pytest.mark.parametrize("options", [[], ["--bits", "4", "--policy", "policy.json"]])
def test_optimize_takes_bits_or_a_policy(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy.json").write_text("{}")
    assert "Give either --bits or --policy" in misuse("optimize", mlp_file, *options)


def test_one_file_of_options_serves_all_commands(mlp_file: Path, mlp_data: Path) -> None:
    path = mlp_file.with_name("evoq.toml")
    path.write_text(
        f"bits = 4\nstrategy = 'none'\ninit = 'nearest'\ndata = '{mlp_data}'\n"
        "json = true\nquiet = true\n"
    )
    for command in ("optimize", "sensitivity", "evaluate"):
        result = invoke(command, mlp_file, "--config", path)
        assert json.loads(result.stdout)["model"] == str(mlp_file)
        assert result.stderr == ""


def test_a_metric_of_the_user_scores(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "counting.py"
    path.write_text(
        "def count(outputs, labels):\n    return float(len(next(iter(outputs.values()))))\n\n\n"
        "count.higher_is_better = True\n"
    )
    np.savez(tmp_path / "data.npz", x=random(64, 4))
    options = ["--data", tmp_path / "data.npz", "--samples", 64, "--holdout", 0.25]
    values = optimize(mlp_file, *options, "--metric", f"{path}:count")
    assert values["metric"] == f"{path}:count"
    assert values["scores"]["reference"] == {"search": 48, "heldout": 16}


@pytest.mark.parametrize("pattern", ["first", "f*", "layer1"])
def test_weights_that_are_kept_are_no_layers(mlp_file: Path, pattern: str) -> None:
    assert list(layers(optimize(mlp_file, "--keep", pattern), "bits")) == ["second"]


def test_a_weight_may_have_another_width(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--bits-for", "*=8", "--bits-for", "layer2=3")
    assert layers(values, "bits") == {"first": 8, "second": 3}


def test_a_drop_that_is_not_allowed_leaves_weights_at_8_bits(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--max-drop", 0, "--samples", 200, bits=2)
    assert 8 in layers(values, "bits").values()
    assert any("stay at 8 bits" in note for note in values["notes"])


def test_files_for_targets_have_names_of_their_own(mlp_file: Path) -> None:
    for options, name in [
        (["--target", "vitis"], "model.w4.vitis.onnx"),
        (["--target", "openvino", "--activations", 8], "model.w4a8.openvino.onnx"),
    ]:
        assert Path(optimize(mlp_file, *options)["output"]).name == name
