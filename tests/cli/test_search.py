"""The command search: what it prints, chooses, draws and writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from commands import error_of, files, invoke, json_of, run_command
from graphs import mlp, random
from searches import shorten, shorten_tuning

LIMITS = ["--time-budget", "none", "--tune-budget", "none"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of two generations, and of none for codes."""
    shorten(monkeypatch)
    shorten_tuning(monkeypatch)


class Run:
    """A short search whose point for a budget was optimized, and one without a choice."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model, self.data = folder, folder / "model.onnx", folder / "data.npz"
        self.model.write_bytes(mlp().SerializeToString())
        np.savez(self.data, x=random(32, 4, seed=5))
        self.written, self.policy = folder / "model.mixed.onnx", folder / "policy.json"
        usual = ["--data", self.data, *LIMITS]
        self.options = [*usual, "--budget", "130B", "--save-policy", self.policy]
        self.values = json_of("search", self.model, *self.options)
        self.files = set(files(folder))
        self.printed: Result = invoke("search", self.model, "--time-budget", "0.001s")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        shorten_tuning(monkeypatch)
        return Run(tmp_path_factory.mktemp("search"))


# The table


def test_the_table_lists_the_front_and_the_uniform_widths(run: Run) -> None:
    lines = run.printed.stdout.splitlines()
    assert lines[0].split()[:2] == ["bits", "split"]
    assert sum(line[2:].startswith("uniform") for line in lines) == 7
    assert any(line.startswith("held-out hypervolume of this run: front ") for line in lines)


def test_a_search_out_of_time_shows_its_points_and_says_so(mlp_file: Path) -> None:
    result = invoke("search", mlp_file, "--time-budget", "0.001s")
    assert "the time budget cut the search for widths short" in " ".join(result.stderr.split())
    assert sum(line[2:].startswith("uniform") for line in result.stdout.splitlines()) == 7


# JSON, and the chosen point


def test_json_holds_all_points(run: Run) -> None:
    for key in ("front", "uniform", "greedy"):
        for point in run.values[key]:
            assert list(point) == [
                "bits", "expansion", "granularity", "packed_bytes", "file_bytes", "search",
                "heldout", "drop", "nmse",
            ]  # fmt: skip
    assert {"hypervolume", "evaluations", "seconds"} < set(run.values)


def test_without_a_choice_nothing_is_chosen_or_written(mlp_file: Path) -> None:
    values = json_of("search", mlp_file, "--time-budget", "0.001s")
    assert not {"chosen", "optimized"} & set(values)
    assert [path.name for path in mlp_file.parent.iterdir()] == ["model.onnx"]


def test_a_budget_chooses_a_point_of_the_front(run: Run) -> None:
    chosen, optimized = run.values["chosen"], run.values["optimized"]
    assert chosen in run.values["front"]
    assert optimized["packed_bytes"] == chosen["packed_bytes"] <= 130
    several = set(chosen["granularity"].values())
    assert optimized["granularity"] == ("mixed" if len(several) > 1 else several.pop())
    assert set(optimized["notes"]) <= set(run.values["notes"])


def test_json_names_the_file_that_was_written(run: Run) -> None:
    assert run.values["optimized"]["output"] == str(run.written)
    assert run.written in run.files
    onnx.checker.check_model(onnx.load(run.written))


def test_json_names_the_file_that_the_user_chose(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "other.onnx"
    values = json_of("search", run.model, *LIMITS, "--policy", run.policy, "-o", out)
    assert values["optimized"]["output"] == str(out)
    onnx.checker.check_model(onnx.load(out))


def test_the_table_names_the_file_that_was_written(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "other.onnx"
    shown = invoke("search", run.model, "--policy", run.policy, *LIMITS, "-o", out).stdout
    assert any(line.endswith(f"  {out}") for line in shown.splitlines())
    assert out.exists()


def test_a_saved_policy_is_the_chosen_point(run: Run) -> None:
    assert json.loads(run.policy.read_text()) == run.values["chosen"]


@pytest.mark.parametrize("command", ["search", "optimize"])
def test_a_saved_policy_gives_the_same_bytes(run: Run, tmp_path: Path, command: str) -> None:
    out = tmp_path / "again.onnx"
    budgets = LIMITS if command == "search" else ["--time-budget", "none"]
    invoke(command, run.model, "--data", run.data, *budgets, "--policy", run.policy, "-o", out)
    assert out.read_bytes() == run.written.read_bytes()


def test_the_json_of_a_search_is_a_policy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps(run.values))
    out = tmp_path / "again.onnx"
    options = ["--data", run.data, "--time-budget", "none", "--policy", tmp_path / "all.json"]
    invoke("optimize", run.model, *options, "-o", out)
    assert out.read_bytes() == run.written.read_bytes()


def test_the_model_may_go_to_standard_output(run: Run) -> None:
    options = ["--data", run.data, *LIMITS, "--policy", run.policy, "-q"]
    result = invoke("search", run.model, *options, "-o", "-")
    assert result.stdout_bytes == run.written.read_bytes()
    assert "packed" in result.stderr


def test_the_policy_may_go_to_standard_output(run: Run, tmp_path: Path) -> None:
    options = ["--policy", run.policy, "-o", tmp_path / "out.onnx", "--save-policy", "-"]
    result = invoke("search", run.model, *LIMITS, *options)
    assert json.loads(result.stdout)["bits"] == run.values["chosen"]["bits"]
    assert "packed" in result.stderr


def test_a_drop_chooses_a_point_and_is_kept(mlp_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=random(100, 4))
    options = ["--data", tmp_path / "many.npz", "--max-drop", 10, "--time-budget", "none"]
    values = json_of("search", mlp_file, *options, "--tune-budget", "0.001s")
    assert values["chosen"]["drop"] <= 10
    smaller = [p for p in values["front"] if p["packed_bytes"] < values["chosen"]["packed_bytes"]]
    assert all(point["drop"] > 10 for point in smaller)


def test_the_size_of_the_file_can_be_bounded(mlp_file: Path, tmp_path: Path) -> None:
    usual = [
        "--size",
        "file",
        "--time-budget",
        "0.001s",
        "--tune-budget",
        "0.001s",
        "--samples",
        16,
    ]
    files = [point["file_bytes"] for point in json_of("search", mlp_file, *usual)["front"]]
    out = tmp_path / "out.onnx"
    values = json_of("search", mlp_file, *usual, "--budget", f"{files[1]}B", "-o", out)
    assert values["size"] == "file"
    assert values["chosen"]["file_bytes"] == files[1]
    assert out.stat().st_size <= files[1]


# The picture


def test_the_front_can_be_drawn(mlp_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "front.png"
    invoke("search", mlp_file, "--time-budget", "0.001s", "--picture", picture)
    assert picture.stat().st_size > 1000


def test_a_picture_on_standard_output_has_no_kind(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    assert "-: is no kind of picture" in error_of("search", mlp_file, "--picture", "-")


def test_a_kind_of_picture_that_is_unknown_is_refused_before_the_search(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    line = error_of("search", mlp_file, "--picture", mlp_file.with_name("front.docx"))
    assert "front.docx: is no kind of picture that Matplotlib writes: name it .png" in line


# Choices that do not go together, and choices that nothing fits


@pytest.mark.parametrize("option", ["--output", "--save-policy"])
def test_without_a_choice_no_file_can_be_asked_for(mlp_file: Path, option: str) -> None:
    line = error_of("search", mlp_file, option, "file")
    assert f"{option} needs a choice: give --budget, --max-drop or --policy" in line


@pytest.mark.parametrize("options", [["--budget", "1kB"], ["--picture", "front.png"]])
def test_a_policy_makes_no_search(mlp_file: Path, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "policy.json").write_text("{}")
    line = error_of("search", mlp_file, "--policy", tmp_path / "policy.json", *options)
    assert "--policy makes no search: leave --budget and --picture out" in line


def failed(model: Path, *options: object) -> Any:
    """A search as short as can be, whose choice nothing fits; it must leave every file."""
    before = files(model.parent)
    result = run_command("search", model, "--time-budget", "0.001s", *options)
    assert result.exit_code == 3
    after = files(model.parent)
    assert {path: after[path] for path in before} == before
    return result


def test_a_budget_that_nothing_meets_names_the_smallest_size(mlp_file: Path) -> None:
    result = failed(mlp_file, "--budget", "40B", "-q")
    assert result.stderr == (
        f"Error: {mlp_file}: the smallest packed size that was reached is 49 bytes (49 B), more "
        "than the budget of 40 bytes: allow that much.\n"
    )
    assert "uniform" in result.stdout  # the front that was found
    assert [path.name for path in mlp_file.parent.iterdir()] == ["model.onnx"]


def test_a_front_without_a_choice_is_printed_as_json_and_drawn(mlp_file: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = mlp_file.with_name("front.png")
    result = failed(mlp_file, "--budget", "40B", "--json", "--picture", picture)
    assert len(json.loads(result.stdout)["uniform"]) == 7
    assert "Note: the time budget cut the search for widths short" in result.stderr
    assert picture.exists()


def test_a_drop_that_8_bits_pass_leaves_the_file_that_was_there(mlp_file: Path) -> None:
    out = mlp_file.with_name("good.onnx")
    out.write_bytes(b"good")
    arguments = ["optimize", mlp_file, "--bits", "2", "--max-drop", "0", "--strategy", "none"]
    metric = mlp_file.with_name("never.py")
    metric.write_text(
        "count = []\ndef never(outputs, labels):\n    count.append(1)\n    return -len(count)\n"
        "never.higher_is_better = True\n"
    )
    line = error_of(*arguments, "--metric", f"{metric}:never", "-o", out, "-q", code=3)
    assert "even at 8 bits the model drops by" in line
    assert out.read_bytes() == b"good"


def test_a_drop_that_nothing_meets_names_the_least(mlp_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=random(200, 4))
    options = ["--data", tmp_path / "many.npz", "--budget", "55B", "--max-drop", "0", "-q"]
    line = failed(mlp_file, *options).stderr
    assert f"Error: {mlp_file}: no size up to 55 B drops by 0 percent or less: the least is" in line


@pytest.mark.parametrize("option", ["--save-policy", "--output", "--picture"])
def test_no_output_replaces_the_model(mlp_file: Path, option: str) -> None:
    before = mlp_file.read_bytes()
    line = error_of("search", mlp_file, "--budget", "1MB", option, mlp_file)
    assert f"{mlp_file}: is the model itself: name another file" in line
    assert mlp_file.read_bytes() == before


def test_two_outputs_cannot_be_one_file(mlp_file: Path) -> None:
    out = mlp_file.with_name("out")
    line = error_of("search", mlp_file, "--budget", "1MB", "-o", out, "--save-policy", out)
    assert f"Error: {out}: another output goes there, too: name another file" in line


def test_standard_output_holds_a_policy_or_json(mlp_file: Path) -> None:
    line = error_of("search", mlp_file, "--budget", "1MB", "--save-policy", "-", "--json")
    assert "--json writes to standard output, too" in line
