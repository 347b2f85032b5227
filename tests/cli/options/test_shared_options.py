"""The options that several commands share: their values, their defaults, and what they refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from commands import misuse, received, run_command

from onnx_evoq import Data, Grid, Resources
from onnx_evoq.cli.options.shared_options import stacked

SHARED = ["optimize", "search", "sensitivity", "evaluate"]


@pytest.fixture
def model(mlp_file: Path) -> Path:
    """A file of a model, which no function here runs."""
    return mlp_file


def test_stacked_decorators_keep_their_order() -> None:
    def appending(name: str) -> Callable[[Any], Any]:
        return lambda names: [*names, name]

    assert stacked(appending("outermost"), appending("innermost"))([]) == ["innermost", "outermost"]


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (["--data", "d.npz"], Data("d.npz")),
        (["--split", "test"], Data(split="test")),
        (["--samples", 12], Data(samples=12)),
        (["--divide", 255], Data(divide=255.0)),
        (["--mean", "1,2,3"], Data(mean=(1.0, 2.0, 3.0))),
        (["--std", "4"], Data(std=(4.0,))),
        (["--layout", "nhwc"], Data(layout="nhwc")),
        (["--color", "bgr"], Data(color="bgr")),
        (["--resize", "8x10"], Data(resize=(8, 10))),
        (["--crop", "8"], Data(crop=8)),
        (["--input-range", "0,255"], Data(input_range=(0.0, 255.0))),
        ([], Data()),
    ],
)
def test_the_options_of_the_data(
    model: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], value: Data
) -> None:
    assert received(monkeypatch, "evaluate", model, *options)["data"] == value


def test_labels_are_a_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = model.with_name("labels.csv")
    assert "--labels" in misuse("evaluate", model, "--labels", labels)
    labels.touch()
    data = received(monkeypatch, "evaluate", model, "--labels", labels)["data"]
    assert data.labels == str(labels)


@pytest.mark.parametrize("command", ["optimize", "search", "sensitivity"])
@pytest.mark.parametrize(
    ("options", "grid"),
    [
        (["--scale", "float"], Grid(scale="float", keep=())),
        (["--keep", "a", "--keep", "b*"], Grid(keep=("a", "b*"))),
        (["--granularity", "channel"], Grid("channel", keep=())),
    ],
)
def test_the_options_of_the_grid(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    options: list[str],
    grid: Grid,
) -> None:
    bits = ["--bits", "4"] if command == "optimize" else []
    granularity = [] if "--granularity" in options else ["--granularity", "tensor"]
    given = received(monkeypatch, command, model, *bits, *granularity, *options)
    assert given["grid"] == grid


@pytest.mark.parametrize(
    ("options", "resources"),
    [
        ([], Resources()),
        (["--memory", "5MB"], Resources(memory=5_000_000)),
        (["--workers", 3], Resources(workers=3)),
        (["--providers", "cuda,cpu"], Resources(["cuda", "cpu"])),
    ],
)
def test_the_options_of_the_resources(
    model: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], resources: Resources
) -> None:
    assert received(monkeypatch, "sensitivity", model, *options)["resources"] == resources


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ([], "seed", 0),
        (["--seed", 9], "seed", 9),
        ([], "metric", "auto"),
        (["--metric", "kl"], "metric", "kl"),
        ([], "holdout", 0.25),
        (["--holdout", 0.5], "holdout", 0.5),
    ],
)
def test_other_shared_options(
    model: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], name: str, value: object
) -> None:
    assert received(monkeypatch, "search", model, *options)[name] == value


@pytest.mark.parametrize("command", SHARED)
def test_every_command_that_scores_has_the_common_options(command: str) -> None:
    shown = run_command(command, "--help").stdout
    for name in ("--data", "--metric", "--seed", "--providers", "--config", "--quiet", "--json"):
        assert name in shown


@pytest.mark.parametrize("command", [*SHARED, "inspect"])
def test_a_model_that_is_missing_is_misuse(tmp_path: Path, command: str) -> None:
    assert "missing.onnx" in misuse(command, tmp_path / "missing.onnx")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--samples", "0"), ("--input-range", "1,0"), ("--layout", "chw"), ("--color", "gray"),
        ("--seed", "-1"), ("--workers", "0"), ("--memory", "much"), ("--holdout", "0"),
        ("--holdout", "1"), ("--granularity", "row"), ("--scale", "log"), ("--divide", "x"),
        ("--config", "missing.toml"),
    ],
)  # fmt: skip
def test_misuse_names_the_option(model: Path, option: str, value: str) -> None:
    text = misuse("search", model, option, value)
    assert f"Invalid value for '{option}'" in text


def test_the_help_of_a_metric_lists_all_of_them() -> None:
    (metric,) = [p for p in click_options("evaluate") if p.name == "metric"]
    assert metric.help is not None
    assert "auto, mse, kl, cosine, sqnr, nmse, channel_nmse, agreement, top1" in metric.help


def click_options(command: str) -> list[click.Option]:
    from onnx_evoq.cli import main

    return [p for p in main.commands[command].params if isinstance(p, click.Option)]


@pytest.mark.parametrize("command", [*SHARED, "inspect"])
def test_a_folder_is_no_model(tmp_path: Path, command: str) -> None:
    assert "is a directory" in misuse(command, tmp_path)
