"""The command line: what each command writes and prints, and what each option changes."""

import json
import os
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
from click.testing import CliRunner, Result
from graphs import conv_net, mlp, model_of, node, random
from PIL import Image

import onnx_evoq.mixed_precision.evolution as evolution
from onnx_evoq.cli import main
from onnx_evoq.report.tables import size

TINY = ["--population", "4", "--generations", "2"]
COMMANDS = ["optimize", "search", "sensitivity", "evaluate", "inspect"]
Save = Callable[..., Path]


def invoke(*arguments: object) -> Result:
    """Run a command that must succeed."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def optimize(model: Path, *options: object, bits: int = 4) -> dict[str, Any]:
    """What optimize prints with --json after a tiny search."""
    # Options that come later win, so that a test may set the size of the search itself.
    result = invoke("optimize", model, "--bits", bits, *TINY, *options, "--json")
    (line,) = result.stdout.splitlines()
    values = json.loads(line)
    assert isinstance(values, dict)
    return values


def layers(values: dict[str, Any], key: str) -> dict[str, Any]:
    """One value per layer by its name."""
    return {layer["name"]: layer[key] for layer in values["layers"]}


def long_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with names of weights that fill a line."""
    prefix = "encoder.layers.11.attention.self.query.projection.quantizable.parametrizations."
    old = {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        tensor.name = prefix + tensor.name
    for each in model.graph.node:
        each.input[:] = [prefix + name if name in old else name for name in each.input]
    return model


# What is written and printed


def test_optimize_writes_beside_the_model(mlp_file: Path) -> None:
    invoke("optimize", mlp_file, "--bits", 6, *TINY)
    onnx.checker.check_model(onnx.load(mlp_file.with_name("model.w6.onnx")))


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_optimize_writes_where_it_is_told(mlp_file: Path, tmp_path: Path, option: str) -> None:
    invoke("optimize", mlp_file, "--bits", 6, *TINY, option, tmp_path / "other.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "other.onnx"]


def test_a_dash_is_standard_output_and_the_table_goes_to_stderr(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["optimize", mlp_file, "--bits", 4, *TINY, "-q", "-o"]
    table = invoke(*arguments, "named.onnx").stdout
    result = invoke(*arguments, "-")
    assert result.stdout_bytes == Path("named.onnx").read_bytes()
    assert len(result.stderr.splitlines()) == len(table.splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "named.onnx"]


def test_a_path_to_standard_output_is_written_through(mlp_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"older ")
    program = [sys.executable, "-m", "onnx_evoq", "optimize", mlp_file, "--bits", "4"]
    with log.open("ab") as file:
        subprocess.run([*program, "--strategy", "none", "-q", "-o", log], stdout=file, check=True)
    assert log.read_bytes().startswith(b"older ")
    onnx.checker.check_model(onnx.load_from_string(log.read_bytes().removeprefix(b"older ")))


def test_a_pipe_is_an_output(mlp_file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    table = invoke("optimize", mlp_file, "--bits", 4, *TINY, "-o", tmp_path / "pipe").stdout
    onnx.checker.check_model(onnx.load_from_string(os.read(reader, 2**16)))
    os.close(reader)
    assert "pipe" in table


def test_the_model_itself_stays_as_it_is(mlp_file: Path) -> None:
    before = mlp_file.read_bytes()
    optimize(mlp_file)
    assert mlp_file.read_bytes() == before


def test_optimize_prints_a_row_per_model(mlp_file: Path) -> None:
    lines = invoke("optimize", mlp_file, "--bits", 6, *TINY).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["float", "nearest", "start", "evolved"]


def test_a_start_from_nearest_rounding_has_no_row_of_its_own(mlp_file: Path) -> None:
    options = ["--bits", 6, *TINY, "--init", "nearest"]
    lines = invoke("optimize", mlp_file, *options).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["float", "nearest", "evolved"]


def test_optimize_prints_top1_where_labels_exist(mlp_file: Path, mlp_data: Path) -> None:
    lines = invoke("optimize", mlp_file, "--bits", 6, *TINY, "--data", mlp_data).stdout.splitlines()
    assert "top1 search" in lines[0]
    assert all(line.endswith("%") for line in lines[1:4])


def test_optimize_prints_sizes_and_the_file(mlp_file: Path) -> None:
    lines = invoke("optimize", mlp_file, "--bits", 6, *TINY).stdout.splitlines()
    written = mlp_file.with_name("model.w6.onnx")
    before, after = (size(path.stat().st_size) for path in (mlp_file, written))
    packed = 18 + 14 + 2 + 36  # 24 and 18 codes of 6 bits, two steps and the biases
    assert f"{before} -> {after} (packed {packed} B)  {written}" in lines


@pytest.mark.parametrize("named", [lambda model: model, long_names], ids=["short", "long"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["optimize", "model.onnx", "--bits", "6", *TINY],
        ["optimize", "model.onnx", "--bits", "3", *TINY, "--data", "data.npz"],
        ["search", "model.onnx", "--samples", "16", "--time-budget", "0.001s", "--budget", "1MB"],
        ["sensitivity", "model.onnx"],
        ["sensitivity", "model.onnx", "--metric", "cross_entropy", "--data", "data.npz"],
        ["evaluate", "model.onnx", "--data", "data.npz", "--reference", "model.onnx"],
        ["inspect", "model.onnx"],
    ],
    ids=" ".join,
)
def test_no_line_passes_80_columns(
    tmp_path: Path,
    save: Save,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    named: Callable[[onnx.ModelProto], onnx.ModelProto],
) -> None:
    monkeypatch.chdir(tmp_path)  # a path is printed as it was given
    save(named(conv_net()))
    np.savez("data.npz", x=random(16, 3, 8, 8), y=np.arange(16) % 5)
    assert max(map(len, invoke(*arguments).stdout.splitlines())) <= 80


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


def test_the_help_lists_every_command() -> None:
    shown = invoke("-h").stdout
    assert [command for command in COMMANDS if f"  {command} " not in shown] == []


def test_the_module_is_a_program() -> None:
    command = [sys.executable, "-m", "onnx_evoq", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert version("onnx-evoq") in shown.stdout


def test_no_progress_is_drawn_where_stderr_is_no_terminal(mlp_file: Path, mlp_data: Path) -> None:
    arguments = ["optimize", str(mlp_file), "--bits", "6", *TINY, "--data", str(mlp_data)]
    command = [sys.executable, "-m", "onnx_evoq", *arguments]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


def test_without_data_a_note_says_that_real_data_do_better(mlp_file: Path) -> None:
    result = invoke("optimize", mlp_file, "--bits", 6, *TINY)
    assert result.stderr.startswith("Note: no data were given")
    assert "real samples would do better" in result.stderr


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_quiet_leaves_the_notes_out(mlp_file: Path, option: str) -> None:
    assert invoke("optimize", mlp_file, "--bits", 6, *TINY, option).stderr == ""


# JSON


def test_optimize_prints_one_object(mlp_file: Path, mlp_data: Path) -> None:
    values = optimize(mlp_file, "--data", mlp_data)
    assert {
        "model", "output", "bits", "granularity", "scale", "seed", "weights", "bytes_before",
        "bytes_after", "packed_bytes", "metric", "scores", "layers", "evaluations", "seconds",
    } <= set(values)  # fmt: skip
    assert values["model"] == str(mlp_file)
    assert (values["bits"], values["weights"], values["metric"]) == (4, 2, "mse")


def test_bytes_are_those_of_the_files(mlp_file: Path) -> None:
    values = optimize(mlp_file)
    assert values["bytes_before"] == mlp_file.stat().st_size
    assert values["bytes_after"] == Path(values["output"]).stat().st_size


def test_every_model_has_a_score_on_both_sets(mlp_file: Path) -> None:
    scores = optimize(mlp_file)["scores"]
    assert set(scores) == {"reference", "nearest", "start", "evolved"}
    assert all(set(score) == {"search", "heldout"} for score in scores.values())


def test_every_model_has_top1_where_labels_exist(mlp_file: Path, mlp_data: Path) -> None:
    scores = optimize(mlp_file, "--data", mlp_data)["scores"]
    shares = [score["top1"][part] for score in scores.values() for part in ("search", "heldout")]
    assert len(shares) == 8
    assert all(0 <= share <= 1 for share in shares)


def test_the_evolved_model_is_no_worse_than_nearest(mlp_file: Path, mlp_data: Path) -> None:
    scores = optimize(mlp_file, "--data", mlp_data, "--generations", 20)["scores"]
    assert scores["reference"]["search"] == 0
    assert scores["evolved"]["search"] < scores["nearest"]["search"]
    assert scores["evolved"]["heldout"] <= scores["nearest"]["heldout"]


def test_every_layer_tells_its_grid_and_its_scores(mlp_file: Path) -> None:
    for layer in optimize(mlp_file)["layers"]:
        assert set(layer) == {"name", "bits", "frac_bits", "sensitivity", "before", "after"}
        assert layer["after"]["heldout"] <= layer["before"]["heldout"]


def test_layers_come_least_sensitive_first(conv_file: Path) -> None:
    values = [layer["sensitivity"] for layer in optimize(conv_file, "--init", "nearest")["layers"]]
    assert values == sorted(values)
    assert len(values) == 3


def test_layers_are_ranked_only_where_their_order_plays_a_part(conv_file: Path) -> None:
    values = optimize(conv_file)
    assert layers(values, "sensitivity") == {"w1": None, "w2": None, "w3": None}
    assert None not in layers(optimize(conv_file, "--max-drop", 5), "sensitivity").values()


def test_evaluate_prints_one_object(mlp_file: Path, mlp_data: Path) -> None:
    values = json.loads(invoke("evaluate", mlp_file, "--data", mlp_data, "--json").stdout)
    assert (values["metric"], values["samples"]) == ("top1", 64)
    assert 0 <= values["value"] <= 1
    assert not {"agreement", "mse", "kl"} & set(values)


def test_evaluate_compares_with_the_reference(mlp_file: Path, mlp_data: Path) -> None:
    written = optimize(mlp_file, "--data", mlp_data)["output"]
    arguments = ["evaluate", written, "--data", mlp_data, "--reference", mlp_file, "--json"]
    values = json.loads(invoke(*arguments).stdout)
    assert 0 < values["agreement"] <= 1
    assert 0 < values["mse"] < 1
    assert 0 < values["kl"] < 1


def test_evaluate_repeats_the_score_of_optimize(mlp_file: Path, mlp_data: Path) -> None:
    values = optimize(mlp_file, "--data", mlp_data)
    arguments = ["--data", mlp_data, "--reference", mlp_file, "--metric", "mse", "--json"]
    again = json.loads(invoke("evaluate", values["output"], *arguments).stdout)["value"]
    score = values["scores"]["evolved"]
    assert again == pytest.approx((48 * score["search"] + 16 * score["heldout"]) / 64)


def test_a_model_agrees_with_itself(mlp_file: Path) -> None:
    values = json.loads(invoke("evaluate", mlp_file, "--reference", mlp_file, "--json").stdout)
    assert (values["agreement"], values["mse"], values["kl"]) == (1, 0, pytest.approx(0))


@pytest.mark.parametrize(("metric", "falls"), [("mse", False), ("cosine", True)])
def test_sensitivity_ranks_the_least_sensitive_first(
    conv_file: Path, metric: str, falls: bool
) -> None:
    values = json.loads(invoke("sensitivity", conv_file, "--metric", metric, "--json").stdout)
    scores = [row["score"] for row in values["rows"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=falls)


def test_sensitivity_writes_no_file(conv_file: Path) -> None:
    invoke("sensitivity", conv_file)
    assert [path.name for path in conv_file.parent.iterdir()] == ["model.onnx"]


def test_fewer_bits_cost_more(mlp_file: Path) -> None:
    costs = [
        json.loads(invoke("sensitivity", mlp_file, "--bits", bits, "--json").stdout)["rows"]
        for bits in (2, 8)
    ]
    assert min(row["score"] for row in costs[0]) > max(row["score"] for row in costs[1])


def test_inspect_shows_weights_and_the_rest(conv_file: Path) -> None:
    shown = invoke("inspect", conv_file).stdout
    assert "w1      Conv  6x3x3x3" in shown
    assert "1 BatchNormalization" in shown
    assert "bias or state of Gemm: biases stay float" in shown


def test_inspect_prints_one_object(conv_file: Path) -> None:
    values = json.loads(invoke("inspect", conv_file, "--json").stdout)
    assert [weight["name"] for weight in values["weights"]] == ["w1", "w2", "w3"]
    assert [weight["axis"] for weight in values["weights"]] == [0, 0, 1]
    assert all(skipped["reason"] for skipped in values["skipped"])


def test_inspect_says_which_channels_can_be_split(mlp_file: Path) -> None:
    reason = "its output is an output of the model (logits)"
    shown = invoke("inspect", mlp_file).stdout
    assert f"Channels that cannot be split:\n     1  {reason}: second\n" in shown
    values = json.loads(invoke("inspect", mlp_file, "--json").stdout)
    assert [weight["no_expansion"] for weight in values["weights"]] == [None, reason]


# The options of the grid and the search


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
def test_bits_is_the_width_of_every_layer(mlp_file: Path, bits: int) -> None:
    values = optimize(mlp_file, bits=bits)
    assert set(layers(values, "bits").values()) == {bits}
    assert Path(values["output"]).name == f"model.w{bits}.onnx"


def test_a_grid_per_tensor_has_one_step(mlp_file: Path) -> None:
    assert all(isinstance(n, int) for n in layers(optimize(mlp_file), "frac_bits").values())


def test_a_grid_per_channel_has_a_step_for_each(mlp_file: Path) -> None:
    steps = layers(optimize(mlp_file, "--granularity", "channel"), "frac_bits")
    assert {name: len(found) for name, found in steps.items()} == {"first": 6, "second": 3}


def test_a_float_step_has_no_frac_bits(mlp_file: Path) -> None:
    steps = layers(optimize(mlp_file, "--scale", "float"), "frac_bits")
    assert set(steps.values()) == {None}


def test_no_strategy_emits_the_start(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--strategy", "none")
    assert values["evaluations"] == 0
    assert values["scores"]["evolved"] == pytest.approx(values["scores"]["start"])


def test_all_weights_may_evolve_together(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--strategy", "coevolution", "--init", "nearest")
    assert values["evaluations"] > 0
    assert values["scores"]["evolved"]["search"] <= values["scores"]["nearest"]["search"]


def test_the_search_starts_from_nearest_rounding(mlp_file: Path) -> None:
    scores = optimize(mlp_file, "--init", "nearest")["scores"]
    assert scores["start"] == scores["nearest"]


@pytest.mark.parametrize("pattern", ["first", "f*", "layer1"])
def test_what_is_kept_is_no_layer(mlp_file: Path, pattern: str) -> None:
    values = optimize(mlp_file, "--keep", pattern)
    assert list(layers(values, "bits")) == ["second"]


def test_what_is_kept_stays_as_it_was(mlp_file: Path) -> None:
    emitted = onnx.load(optimize(mlp_file, "--keep", "first")["output"])
    kept = next(tensor for tensor in emitted.graph.initializer if tensor.name == "first")
    expected = next(tensor for tensor in mlp().graph.initializer if tensor.name == "first")
    assert np.array_equal(onnx.numpy_helper.to_array(kept), onnx.numpy_helper.to_array(expected))


def test_keep_can_be_repeated(conv_file: Path) -> None:
    values = optimize(conv_file, "--keep", "stem", "--keep", "w3")
    assert list(layers(values, "bits")) == ["w2"]


def test_bits_for_gives_a_weight_another_width(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--bits-for", "second=8")
    assert layers(values, "bits") == {"first": 4, "second": 8}


def test_of_two_widths_the_last_one_counts(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--bits-for", "*=8", "--bits-for", "layer2=3")
    assert layers(values, "bits") == {"first": 8, "second": 3}


@pytest.mark.parametrize(("form", "present"), [("qdq", True), ("float", False)])
def test_the_float_format_needs_no_dequantization(mlp_file: Path, form: str, present: bool) -> None:
    emitted = onnx.load(optimize(mlp_file, "--format", form)["output"])
    assert any(node.op_type == "DequantizeLinear" for node in emitted.graph.node) == present


def test_both_formats_score_alike(mlp_file: Path) -> None:
    qdq, plain = (optimize(mlp_file, "--format", form)["scores"] for form in ("qdq", "float"))
    assert qdq["evolved"] == pytest.approx(plain["evolved"], rel=1e-4)


def test_any_drop_allows_every_weight(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--max-drop", 100, bits=2)
    assert layers(values, "bits") == {"first": 2, "second": 2}


def test_a_drop_that_is_not_allowed_leaves_weights_at_8_bits(mlp_file: Path) -> None:
    values = optimize(mlp_file, "--max-drop", 0, bits=2)
    assert layers(values, "bits") == {"first": 8, "second": 8}
    assert any("stay at 8 bits" in note for note in values["notes"])


def test_the_same_seed_gives_the_same_bytes(mlp_file: Path, mlp_data: Path) -> None:
    files = [
        Path(
            optimize(mlp_file, "--data", mlp_data, "--seed", 3, "-o", mlp_file.with_name(name))[
                "output"
            ]
        )
        for name in ("one.onnx", "two.onnx")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_another_seed_splits_the_samples_anew(mlp_file: Path, mlp_data: Path) -> None:
    one, two = (
        optimize(mlp_file, "--data", mlp_data, "--seed", seed, "--strategy", "none")["scores"]
        for seed in (0, 1)
    )
    assert one["nearest"]["heldout"] != two["nearest"]["heldout"]


@pytest.mark.parametrize(("population", "generations"), [(4, 2), (1, 5), (3, 0)])
def test_population_and_generations_say_how_much_is_scored(
    mlp_file: Path, population: int, generations: int
) -> None:
    options = ["--population", population, "--generations", generations]
    # Each weight's start once, its children, and the start on the other set; the end, too, where
    # it is better.
    per_weight = 1 + population * generations + 1
    values = optimize(mlp_file, *options, "--init", "nearest")
    better = sum(layer["before"] != layer["after"] for layer in values["layers"])
    assert 2 * per_weight + better <= values["evaluations"] <= 2 * (per_weight + 1)


def test_the_mutation_rate_changes_what_is_found(mlp_file: Path) -> None:
    one, two = (
        optimize(mlp_file, "--init", "nearest", "--mutation-rate", rate)["layers"]
        for rate in (0.02, 0.5)
    )
    assert one != two


def test_a_time_budget_ends_the_search(mlp_file: Path) -> None:
    options = ["--init", "nearest", "--time-budget", "0.2s", "--generations", 1_000_000]
    values = optimize(mlp_file, *options)
    assert values["stopped"] == "time"
    assert any("the time budget cut the search short" in note for note in values["notes"])


@pytest.mark.parametrize("budget", ["none", "1m"])
def test_a_search_within_its_budget_runs_to_its_end(mlp_file: Path, budget: str) -> None:
    values = optimize(mlp_file, "--init", "nearest", "--time-budget", budget)
    assert (values["stopped"], values["evaluations"]) == (None, 22)


def test_providers_have_short_names(mlp_file: Path) -> None:
    one, two = (optimize(mlp_file, *given)["scores"] for given in ([], ["--providers", "cpu"]))
    assert one == two


@pytest.mark.parametrize("metric", ["mse", "kl", "cosine", "sqnr", "agreement", "top1"])
def test_the_metric_steers(mlp_file: Path, mlp_data: Path, metric: str) -> None:
    assert optimize(mlp_file, "--data", mlp_data, "--metric", metric)["metric"] == metric


def test_a_metric_of_the_user_steers(mlp_file: Path, mlp_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def score(outputs, labels):\n    return float(len(labels))\n\n\n"
        "score.higher_is_better = True\n"
    )
    values = optimize(mlp_file, "--data", mlp_data, "--metric", f"{path}:score")
    assert values["metric"] == f"{path}:score"
    assert values["scores"]["evolved"]["search"] == 48


# The options of the data


@pytest.mark.parametrize(("holdout", "held"), [(0.25, 16), (0.5, 32), (0.75, 48)])
def test_holdout_is_a_share_of_the_samples(
    mlp_file: Path, tmp_path: Path, holdout: float, held: int
) -> None:
    metric = counting_metric(tmp_path)
    np.savez(tmp_path / "data.npz", x=random(64, 4))
    data = ["--data", tmp_path / "data.npz", "--metric", metric, "--holdout", holdout]
    assert optimize(mlp_file, *data)["scores"]["reference"] == {
        "search": 64 - held,
        "heldout": held,
    }


@pytest.mark.parametrize("with_data", [True, False])
def test_samples_is_how_many_are_used(mlp_file: Path, mlp_data: Path, with_data: bool) -> None:
    data = ["--data", mlp_data] if with_data else []
    arguments = ["evaluate", mlp_file, "--reference", mlp_file, "--samples", 12, "--json", *data]
    assert json.loads(invoke(*arguments).stdout)["samples"] == 12


def counting_metric(folder: Path) -> str:
    """A metric that returns the number of samples it was shown."""
    path = folder / "counting.py"
    path.write_text(
        "def count(outputs, labels):\n    return float(len(next(iter(outputs.values()))))\n\n\n"
        "count.higher_is_better = True\n"
    )
    return f"{path}:count"


def test_the_input_range_scales_synthetic_inputs(mlp_file: Path) -> None:
    narrow, wide = (
        layers(optimize(mlp_file, "--init", "nearest", "--input-range", limits), "sensitivity")[
            "first"
        ]
        for limits in ("-0.001,0.001", "-1000,1000")
    )
    assert narrow < 1e-6
    assert wide > 1


@pytest.mark.parametrize(
    ("options", "prepare"),
    [
        (["--divide", "255"], lambda x: x / 255),
        (["--mean", "1,2,3"], lambda x: x - np.reshape([1, 2, 3], (3, 1, 1))),
        (["--std", "2,4,8"], lambda x: x / np.reshape([2, 4, 8], (3, 1, 1))),
        (["--mean", "5"], lambda x: x - 5),
        (["--divide", "2", "--mean", "1", "--std", "4"], lambda x: (x / 2 - 1) / 4),
        (["--color", "bgr"], lambda x: x[:, ::-1]),
        (["--color", "rgb"], lambda x: x),
        (["--layout", "nchw"], lambda x: x),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_data_are_prepared_as_told(
    conv_file: Path,
    tmp_path: Path,
    options: list[str],
    prepare: Callable[[np.ndarray], np.ndarray],
) -> None:
    raw = 10 * random(24, 3, 8, 8)
    np.savez(tmp_path / "raw.npz", x=raw)
    np.savez(tmp_path / "ready.npz", x=prepare(raw).astype(np.float32))
    told, expected = (
        optimize(conv_file, "--strategy", "none", "--data", tmp_path / name, *given)["scores"]
        for name, given in (("raw.npz", options), ("ready.npz", []))
    )
    assert told["nearest"] == pytest.approx(expected["nearest"], rel=1e-3)


def test_a_crop_takes_the_centre(conv_file: Path, tmp_path: Path) -> None:
    raw = random(24, 3, 12, 10)
    np.savez(tmp_path / "raw.npz", x=raw)
    np.savez(tmp_path / "ready.npz", x=raw[:, :, 2:10, 1:9])
    told, expected = (
        optimize(conv_file, "--strategy", "none", "--data", tmp_path / name, *given)["scores"]
        for name, given in (("raw.npz", ["--crop", "8"]), ("ready.npz", []))
    )
    assert told == expected


def test_a_resize_makes_images_fit(conv_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "raw.npz", x=random(8, 3, 20, 30))
    options = ["--data", tmp_path / "raw.npz", "--resize", "8x8"]
    assert optimize(conv_file, *options)["weights"] == 3


def test_images_are_labelled_by_a_csv_file(conv_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    rows = ["file,label,split"]
    for k in range(6):
        Image.new("RGB", (8, 8), (40 * k, 10, 200)).save(folder / f"{k}.png")
        rows.append(f"{k}.png,{k % 5},{'test' if k < 4 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    data = ["--data", folder, "--labels", tmp_path / "labels.csv", "--divide", 255]
    for split, samples in ((["--split", "test"], 4), (["--split", "train"], 2), ([], 6)):
        values = json.loads(invoke("evaluate", conv_file, *data, *split, "--json").stdout)
        assert (values["metric"], values["samples"]) == ("top1", samples)


# The file of options


def configured(model: Path, content: str, *options: object) -> dict[str, Any]:
    """What optimize prints with --json and a file of options."""
    path = model.with_name("evoq.toml")
    path.write_text("population = 4\ngenerations = 2\n" + content)
    return dict(json.loads(invoke("optimize", model, "--config", path, "--json", *options).stdout))


def test_options_can_stand_in_a_file(mlp_file: Path) -> None:
    values = configured(
        mlp_file, 'bits = 5\nscale = "float"\nseed = 9\ninit = "nearest"\ntime-budget = "1m"\n'
    )
    assert (values["bits"], values["scale"], values["seed"]) == (5, "float", 9)
    assert 10 < values["evaluations"] <= 22


@pytest.mark.parametrize("key", ["mutation-rate", "mutation_rate"])
def test_options_in_a_file_take_dashes_and_underscores(mlp_file: Path, key: str) -> None:
    expected = optimize(mlp_file, "--mutation-rate", 0.5)["layers"]
    assert configured(mlp_file, f"bits = 4\n{key} = 0.5\n")["layers"] == expected


def test_repeatable_options_take_a_list(conv_file: Path) -> None:
    values = configured(conv_file, 'bits = 4\nkeep = ["w1", "head"]\n')
    assert list(layers(values, "bits")) == ["w2"]


def test_one_file_serves_all_commands(mlp_file: Path, mlp_data: Path) -> None:
    path = mlp_file.with_name("evoq.toml")
    path.write_text(f"bits = 4\npopulation = 2\ngenerations = 1\ndata = '{mlp_data}'\n")
    for command in ("optimize", "sensitivity", "evaluate"):
        assert json.loads(invoke(command, mlp_file, "--config", path, "--json").stdout)


def test_numbers_in_a_file_need_no_quotes(conv_file: Path) -> None:
    np.savez(conv_file.with_name("images.npz"), x=random(8, 3, 8, 8))
    content = "bits = 4\ntime-budget = 90\nresize = [8, 8]\nstd = 2.0\nkeep = 'w1'\n"
    values = configured(conv_file, content, "--data", conv_file.with_name("images.npz"))
    assert set(layers(values, "bits")) == {"w2", "w3"}


@pytest.mark.parametrize(
    "content",
    ['bits-for = ["second=8"]\n', "[bits-for]\nsecond = 8\n", "bits_for = {second = 8}\n"],
)
def test_widths_can_be_a_table_of_patterns(mlp_file: Path, content: str) -> None:
    assert layers(configured(mlp_file, "bits = 4\n" + content), "bits")["second"] == 8


def test_flags_can_stand_in_a_file(mlp_file: Path) -> None:
    path = mlp_file.with_name("evoq.toml")
    path.write_text("bits = 4\npopulation = 2\ngenerations = 1\njson = true\nquiet = true\n")
    result = invoke("optimize", mlp_file, "--config", path)
    assert json.loads(result.stdout)["bits"] == 4
    assert result.stderr == ""


def test_lists_of_numbers_can_stand_in_a_file(conv_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=random(8, 3, 8, 8))
    options = ["--data", tmp_path / "images.npz"]
    expected = optimize(conv_file, "--mean", "1,2,3", *options)["scores"]
    assert configured(conv_file, "bits = 4\nmean = [1, 2, 3]\n", *options)["scores"] == expected


def test_the_command_line_wins_over_the_file(mlp_file: Path) -> None:
    values = configured(mlp_file, 'bits = 4\nkeep = ["first"]\n', "--bits", 6, "--keep", "second")
    assert layers(values, "bits") == {"first": 6}


@pytest.mark.parametrize("command", ["sensitivity", "evaluate"])
def test_every_command_that_scores_takes_a_file(
    mlp_file: Path, mlp_data: Path, command: str
) -> None:
    path = mlp_file.with_name("evoq.toml")
    path.write_text(f"data = '{mlp_data}'\nmetric = 'cross_entropy'\njson = true\nsamples = 20\n")
    values = json.loads(invoke(command, mlp_file, "--config", path).stdout)
    assert (values["metric"], values["samples"]) == ("cross_entropy", 20)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"bitz = 4\n", "'bitz' is no option; did you mean 'bits'?"),
        (b"[optimize]\nbits = 4\n", "'optimize' is no option"),
        (b"model = 'model.onnx'\n", "'model' is no option"),
        (b"zzz = 1\n", "'zzz' is no option; these are: bits, bits-for"),
        (b"bits = = 4\n", "cannot be read as TOML"),
        (b"bits = 4 # \xff\n", "cannot be read as TOML"),
        (b"granularity = 'row'\n", "--granularity"),
        (b"bits-for = {first = 12}\n", "--bits-for"),
        (b"time-budget = 'soon'\n", "--time-budget"),
        (b"seed = 1.5\n", "--seed"),
        (b"samples = [1, 2]\n", "--samples"),
        (b"json = 3\n", "--json"),
    ],
)
def test_a_mistake_in_the_file_is_misuse(mlp_file: Path, content: bytes, named: str) -> None:
    path = mlp_file.with_name("evoq.toml")
    path.write_bytes(content)
    arguments = ["optimize", str(mlp_file), "--bits", "4", "--config", str(path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not mlp_file.with_name("model.w4.onnx").exists()


def test_numbers_that_are_none_are_null_in_json(mlp_file: Path, mlp_data: Path) -> None:
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


def test_a_table_calls_a_users_metric_by_its_short_name(mlp_file: Path, mlp_data: Path) -> None:
    code = mlp_file.with_name("a_rather_long_file_name_for_metrics.py")
    code.write_text("def mine(outputs, labels):\n    return 1.0\nmine.higher_is_better = True\n")
    result = invoke("sensitivity", mlp_file, "--data", mlp_data, "--metric", f"{code}:mine")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "mine" in result.stdout


def test_notes_are_wrapped_at_80_columns_with_paths_left_whole(mlp_file: Path) -> None:
    result = invoke("optimize", mlp_file, "--bits", 4, "--strategy", "none")
    lines = result.stderr.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80


def test_without_a_search_the_emitted_model_is_called_just_that(mlp_file: Path) -> None:
    result = invoke("optimize", mlp_file, "--bits", 4, "--strategy", "none")
    assert "emitted" in result.stdout
    assert "evolved" not in result.stdout


def test_with_max_drop_nearest_is_at_the_widths_that_are_emitted(mlp_file: Path) -> None:
    np.savez(mlp_file.with_name("many.npz"), x=random(200, 4))
    options = ["--data", mlp_file.with_name("many.npz"), "--max-drop", 0]
    options += ["--strategy", "none", "--init", "nearest"]
    values = json.loads(invoke("optimize", mlp_file, "--bits", 2, *options, "--json").stdout)
    assert 8 in {layer["bits"] for layer in values["layers"]}
    scores = values["scores"]
    assert scores["nearest"]["search"] < scores["start"]["search"]
    assert scores["evolved"]["search"] == pytest.approx(scores["nearest"]["search"], rel=1e-3)


@pytest.mark.parametrize(
    ("option", "one_way", "other"), [("--memory", "0", "1GB"), ("--workers", "1", "2")]
)
def test_what_scoring_may_use_changes_no_result(
    conv_file: Path, option: str, one_way: str, other: str
) -> None:
    np.savez(conv_file.with_name("images.npz"), x=random(40, 3, 8, 8))
    data = ["--data", conv_file.with_name("images.npz")]
    one, two = (optimize(conv_file, *data, option, given) for given in (one_way, other))
    assert one["scores"] == two["scores"]
    assert one["layers"] == two["layers"]


# Searching for widths


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of two generations."""
    monkeypatch.setattr(evolution, "_POPULATION", 8)
    monkeypatch.setattr(evolution, "_GENERATIONS", 2)


def searched(model: Path, *options: object) -> dict[str, Any]:
    """What search prints with --json."""
    (line,) = invoke("search", model, *options, "--json").stdout.splitlines()
    values = json.loads(line)
    assert isinstance(values, dict)
    return values


@pytest.mark.usefixtures("short")
def test_search_prints_the_front_and_writes_nothing(mlp_file: Path) -> None:
    lines = invoke("search", mlp_file).stdout.splitlines()
    assert lines[0].split()[:2] == ["bits", "split"]
    assert sum(line[2:].startswith("uniform") for line in lines) == 7
    assert any(line.startswith("held-out hypervolume of this run: front ") for line in lines)
    assert [path.name for path in mlp_file.parent.iterdir()] == ["model.onnx"]


@pytest.mark.usefixtures("short")
def test_search_prints_one_object_of_json(mlp_file: Path) -> None:
    values = searched(mlp_file)
    for key in ("front", "uniform", "greedy"):
        for found in values[key]:
            assert list(found) == [
                "bits", "expansion", "granularity", "packed_bytes", "file_bytes", "search",
                "heldout", "drop", "nmse",
            ]  # fmt: skip
    assert {"hypervolume", "evaluations", "seconds"} < set(values)
    assert "chosen" not in values


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_budget_picks_a_point_that_a_saved_policy_replays(
    mlp_file: Path, mlp_data: Path, tmp_path: Path, per_channel: bool
) -> None:
    data = ["--data", mlp_data, "--time-budget", "none"]
    options = ["--per-channel"] if per_channel else []
    saved, one, two, three = (tmp_path / n for n in ("p.json", "1.onnx", "2.onnx", "3.onnx"))
    values = searched(
        mlp_file, *data, *options, "--budget", "130B", "--save-policy", saved, "-o", one
    )
    assert values["chosen"]["packed_bytes"] <= 130
    assert values["chosen"] in values["front"]
    assert values["optimized"]["packed_bytes"] == values["chosen"]["packed_bytes"]
    several = set(values["chosen"]["granularity"].values())
    assert values["optimized"]["granularity"] == ("mixed" if len(several) > 1 else several.pop())
    assert json.loads(saved.read_text()) == values["chosen"]
    assert set(values["optimized"]["notes"]) <= set(values["notes"])
    invoke("optimize", mlp_file, *data, "--policy", saved, "-o", two)
    invoke("search", mlp_file, *data, "--policy", saved, "-o", three)
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()


@pytest.mark.usefixtures("short")
def test_a_search_writes_to_standard_output_too(mlp_file: Path, tmp_path: Path) -> None:
    options = ["--budget", "130B", "--time-budget", "none", "-q"]
    named = invoke("search", mlp_file, *options, "-o", tmp_path / "named.onnx")
    result = invoke("search", mlp_file, *options, "-o", "-")
    assert result.stdout_bytes == (tmp_path / "named.onnx").read_bytes()
    assert result.stderr.splitlines()[:9] == named.stdout.splitlines()[:9]


@pytest.mark.usefixtures("short")
def test_a_policy_goes_to_standard_output_too(mlp_file: Path) -> None:
    result = invoke("search", mlp_file, "--budget", "130B", "--save-policy", "-")
    assert "bits" in json.loads(result.stdout)
    assert "uniform" in result.stderr


@pytest.mark.usefixtures("short")
def test_what_search_printed_is_a_policy(mlp_file: Path, mlp_data: Path, tmp_path: Path) -> None:
    options = ["--data", mlp_data, "--time-budget", "none"]
    one, two = tmp_path / "1.onnx", tmp_path / "2.onnx"
    values = searched(mlp_file, *options, "--budget", "100B", "-o", one)
    (tmp_path / "all.json").write_text(json.dumps(values))
    invoke("optimize", mlp_file, *options, "--policy", tmp_path / "all.json", "-o", two)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.usefixtures("short")
def test_a_drop_picks_a_point_and_is_kept_to(mlp_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=random(200, 4))
    values = searched(mlp_file, "--data", tmp_path / "many.npz", "--max-drop", 10)
    assert values["chosen"]["drop"] <= 10
    smaller = [p for p in values["front"] if p["packed_bytes"] < values["chosen"]["packed_bytes"]]
    assert all(point["drop"] > 10 for point in smaller)
    assert mlp_file.with_name("model.mixed.onnx").exists()


@pytest.mark.usefixtures("short")
def test_the_size_of_the_file_can_be_bounded(mlp_file: Path, tmp_path: Path) -> None:
    files = [point["file_bytes"] for point in searched(mlp_file, "--size", "file")["front"]]
    out = tmp_path / "out.onnx"
    values = searched(mlp_file, "--size", "file", "--budget", f"{files[1]}B", "-o", out)
    assert values["size"] == "file"
    assert values["chosen"]["file_bytes"] == files[1]
    assert out.stat().st_size <= files[1]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("option", ["--expansion", "--no-expansion"])
def test_expansion_can_be_switched_off(mlp_file: Path, option: str) -> None:
    values = searched(mlp_file, option)
    split = [point for point in values["front"] if point["expansion"]]
    assert option == "--expansion" or not split


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_front_can_be_drawn(mlp_file: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    invoke("search", mlp_file, "--picture", tmp_path / f"front.{suffix}")
    assert (tmp_path / f"front.{suffix}").stat().st_size > 1000


@pytest.mark.usefixtures("short")
def test_a_search_out_of_time_keeps_what_it_found_and_says_so(mlp_file: Path) -> None:
    result = invoke("search", mlp_file, "--time-budget", "0.001s")
    assert "the time budget cut the search short" in " ".join(result.stderr.split())
    assert sum(line[2:].startswith("uniform") for line in result.stdout.splitlines()) == 7


@pytest.mark.usefixtures("short")
def test_the_same_seed_and_any_workers_search_alike(mlp_file: Path, mlp_data: Path) -> None:
    one, two = (searched(mlp_file, "--data", mlp_data, "--seed", 3, "--workers", n) for n in (1, 2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("metric", ["sqnr", "kl", "agreement", "cross_entropy"])
def test_any_metric_is_searched_by(mlp_file: Path, mlp_data: Path, metric: str) -> None:
    assert searched(mlp_file, "--data", mlp_data, "--metric", metric)["metric"] == metric


def test_many_widths_are_listed_within_80_columns(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a path is printed as it was given
    weights = {f"w{k}": random(4, 4, seed=k) for k in range(12)}
    nodes = [node("MatMul", [f"t{k}" if k else "x", f"w{k}"], [f"t{k + 1}"]) for k in range(12)]
    save(model_of(nodes, {"x": ["n", 4]}, {"t12": ["n", 4]}, weights))
    bits = {f"w{k}": [2 + k % 6, 3 + k % 6, 2, 2 + k % 5] for k in range(12)}
    Path("policy.json").write_text(json.dumps({"bits": bits}))
    options = ["--policy", "policy.json", "--strategy", "none"]
    lines = invoke("optimize", "model.onnx", *options).stdout.splitlines()
    assert max(map(len, lines)) <= 80
