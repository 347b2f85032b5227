"""The option --log-file: what a command writes to its log."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import error_of, files, invoke, json_of, run_command
from searches import shorten, shorten_tuning

import onnx_evoq
from onnx_evoq.cli.log_file import Log, logged

SMALL = ("--population", 2, "--generations", 1, "--time-budget", "none", "--samples", 16)


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_optimize_logs_its_run(mlp_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    values = json_of("optimize", mlp_file, "--bits", 4, *SMALL, "--log-file", file)
    start, *middle, end = lines_of(file)
    assert (start["event"], start["command"], start["options"]["bits"]) == ("start", "optimize", 4)
    assert start["options"]["model"] == str(mlp_file)
    stages = [line["stage"] for line in middle if line["event"] == "stage"]
    assert {"reference", "reconstructing", "evolving 1", "scoring"} <= set(stages)
    assert any(line["event"] == "step" and line["layer"] == "second" for line in middle)
    assert [line["note"] for line in middle if line["event"] == "note"] == values["notes"]
    assert (end["event"], end["reason"], end["scores"]) == ("end", "complete", values["scores"])
    assert end["packed_bytes"] == values["packed_bytes"]
    assert {moment["layer"] for moment in values["history"]} == {None, "first", "second"}


def test_search_and_sensitivity_log_their_runs(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    file = tmp_path / "run.jsonl"
    options = ("--samples", 16, "--log-file", file)
    found = json_of("search", mlp_file, "--time-budget", "none", *options)
    ranked = json_of("sensitivity", mlp_file, *options)
    ends = [line for line in lines_of(file) if line["event"] == "end"]
    assert [line["event"] for line in lines_of(file)].count("start") == 2  # appended
    assert ends[0]["hypervolume"] == found["hypervolume"]
    assert ends[0]["front"] == len(found["front"])
    assert ends[1]["reference"] == ranked["reference"]


def test_the_point_that_search_optimizes_has_its_scores_in_the_log(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    shorten_tuning(monkeypatch)
    file = tmp_path / "run.jsonl"
    budgets = ("--time-budget", "none", "--tune-budget", "none", "--budget", "1MB", "--samples", 16)
    values = json_of("search", mlp_file, *budgets, "--log-file", file)
    assert lines_of(file)[-1]["scores"] == values["optimized"]["scores"]


def test_an_error_is_logged(mlp_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    line = error_of("optimize", mlp_file, "--bits", 4, "--keep", "none*", "--log-file", file)
    assert [each["event"] for each in lines_of(file)] == ["start", "error"]
    assert f"Error: {lines_of(file)[1]['error']}" == line


def test_a_log_that_cannot_be_written_is_refused_before_the_search(
    mlp_file: Path, tmp_path: Path
) -> None:
    before = files(mlp_file.parent)
    missing = tmp_path / "missing" / "run.jsonl"
    line = error_of("optimize", mlp_file, "--bits", 4, *SMALL, "--log-file", missing)
    assert "run.jsonl: cannot be written" in line
    assert files(mlp_file.parent) == before


@pytest.mark.parametrize("command", [("optimize", "--bits", 4), ("search",), ("sensitivity",)])
def test_a_log_is_not_written_over_what_is_read(
    mlp_file: Path, command: tuple[object, ...]
) -> None:
    before = files(mlp_file.parent)
    line = error_of(command[0], mlp_file, *command[1:], "--log-file", mlp_file)
    assert "is the model itself" in line
    assert files(mlp_file.parent) == before


def test_a_log_is_not_the_output(mlp_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    line = error_of("optimize", mlp_file, "--bits", 4, "-o", file, "--log-file", file)
    assert "another output goes there, too" in line


def test_a_log_is_no_standard_output(mlp_file: Path) -> None:
    line = error_of("sensitivity", mlp_file, "--log-file", "-")
    assert line == "Error: --log-file: names a file, and not standard output (-)."


def test_what_ends_a_command_is_logged_and_raised_again(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"

    @logged
    def command(log: Log) -> None:
        log.runs[0].start("test", {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command(log_file=file)
    assert lines_of(file)[-1]["error"] == "stopped before there was a result."


def test_an_interrupted_search_says_so_at_its_end(
    mlp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, original = tmp_path / "run.jsonl", onnx_evoq.optimize

    def interrupted(*given: Any, progress: Any, **options: Any) -> onnx_evoq.Result:
        def stopping(label: str, total: float) -> Any:
            if label.startswith("evolving"):
                os.kill(os.getpid(), signal.SIGTERM)
            return progress(label, total)

        return original(*given, progress=stopping, **options)

    monkeypatch.setattr(onnx_evoq, "optimize", interrupted)
    result = run_command("optimize", mlp_file, "--bits", 4, *SMALL, "--log-file", file)
    assert result.exit_code == 143
    assert lines_of(file)[-1]["reason"] == "interrupt"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_ends_the_log_and_not_the_command(mlp_file: Path) -> None:
    result = invoke("sensitivity", mlp_file, "--samples", 16, "--log-file", "/dev/full")
    assert "Note: /dev/full: the log ends early" in result.stderr


def test_a_log_holds_what_came_before_a_kill(mlp_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    code = (
        "import os, onnx_evoq.run as run\n"
        f"log = run.RunLog({str(file)!r}); log.start('optimize', {{}}); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert [line["event"] for line in lines_of(file)] == ["start"]
