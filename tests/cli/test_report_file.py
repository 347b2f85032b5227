"""The page of a result, from the command line."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from commands import error_of, files, invoke, json_of, received, refused
from graphs import mlp, random
from searches import shorten, shorten_tuning
from shown_results import Page

from onnx_evoq.cli import main
from onnx_evoq.cli.report_file import options_in

LIMITS = ["--population", 2, "--generations", 1, "--time-budget", "none"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(mlp().SerializeToString())
    np.savez(tmp_path / "calib.npz", x=random(48, 4, seed=5), y=np.arange(48) % 3)
    return path


def data(model: Path) -> list[object]:
    return ["--data", model.parent / "calib.npz", "--divide", 2]


def test_options_are_found_with_their_words() -> None:
    words = [
        "m.onnx",
        "--bits",
        "4",
        "--mean=-1",
        "-q",
        "-o",
        "x",
        "--keep",
        "a",
        "-oy",
        "--",
        "-q",
    ]
    assert options_in(words, main.commands["optimize"]) == [
        ("bits", ["--bits", "4"]), ("mean", ["--mean=-1"]), ("quiet", ["-q"]),
        ("output", ["-o", "x"]), ("keep", ["--keep", "a"]), ("output", ["-oy"]),
    ]  # fmt: skip


def test_negative_numbers_and_unknown_words_are_no_options() -> None:
    command = click.Command("a", params=[click.Option(["--on/--off"]), click.Option(["--x"])])
    assert options_in(["-1", "--off", "--x", "-1", "--y"], command) == [
        ("on", ["--off"]), ("x", ["--x", "-1"]),
    ]  # fmt: skip


def test_optimize_writes_a_page_with_the_command_and_json_makes_it_again(model: Path) -> None:
    pytest.importorskip("matplotlib")
    page = model.with_name("page.html")
    values = json_of("optimize", model, "--bits", 3, *data(model), *LIMITS, "--report", page)
    shown = Page(page.read_text(encoding="utf-8"))
    assert "net.onnx at 3 bits" in shown.text
    assert "Error through depth" in shown.text
    assert f"onnx-evoq optimize {model} --bits 3" in shown.text
    assert values["command"]["words"][:2] == ["onnx-evoq", "optimize"]
    assert values["command"]["data"] == ["--divide", "2"]
    evaluate = f"onnx-evoq evaluate {values['output']} --data TEST_DATA --divide 2"
    assert f"{evaluate} --reference {model}" in shown.text
    result = model.with_name("result.json")
    result.write_text(json.dumps(values))
    invoke("report", result)
    assert result.with_name("report.html").read_bytes() == page.read_bytes()


def test_search_writes_a_page_whose_commands_build_points_and_of_the_chosen_one_the_model(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    shorten(monkeypatch)
    shorten_tuning(monkeypatch)
    page = model.with_name("page.html")
    budgets = ["--budget", "1kB", "--time-budget", "none", "--tune-budget", "none"]
    given = ["search", model, *data(model), "--granularity", "channel", *budgets]
    values = json_of(*given, "--report", page)
    shown = Page(page.read_text(encoding="utf-8"))
    assert len(shown.all("g", role="button")) == len(values["front"])
    assert values["command"]["optimize"] == [
        "--data", str(model.parent / "calib.npz"), "--divide", "2",
    ]  # fmt: skip
    assert f"onnx-evoq optimize {model} --policy policy.json --data" in shown.text
    assert "The model of the chosen point" in shown.text
    assert "Error through depth" in shown.text


def test_a_budget_that_nothing_fits_has_a_page_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    shorten(monkeypatch)
    page = model.with_name("page.html")
    options = [*data(model), "--budget", "1B", "--time-budget", "none", "--report", page]
    with pytest.raises(AssertionError):  # it prints the front, and fails
        invoke("search", model, *options)
    assert "Size against error" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["optimize", "search"])
def test_details_are_asked_for_where_there_is_a_page(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    pytest.importorskip("matplotlib")
    bits = ["--bits", 4] if command == "optimize" else []
    page = mlp_file.with_name("page.html")
    given: dict[str, Any] = received(monkeypatch, command, mlp_file, *bits, "--report", page)
    assert given["details"] is True
    assert received(monkeypatch, command, mlp_file, *bits)["details"] is False


def test_without_matplotlib_no_search_begins(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    line = refused(mlp_file, "--report", mlp_file.with_name("page.html"))
    assert "pip install 'onnx-evoq[report]'" in line


def test_a_page_that_cannot_be_written_is_refused_before_the_search(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    assert "cannot be written" in refused(mlp_file, "--report", mlp_file.parent / "no" / "a.html")
    assert "is the model itself" in refused(mlp_file, "--report", mlp_file)
    same = mlp_file.with_name("same")
    assert "another output goes there" in refused(mlp_file, "--report", same, "-o", same)


def test_a_page_in_standard_output_excludes_json(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    before = files(mlp_file.parent)
    line = error_of("optimize", mlp_file, "--bits", 4, "--report", "-", "--json")
    assert "--json writes to standard output, too" in line
    assert files(mlp_file.parent) == before
