"""The options --run-dir and --resume."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import (
    FUNCTIONS,
    CalledError,
    error_of,
    files,
    invoke,
    json_of,
    misuse,
    run_command,
)
from graphs import mlp, random
from kept_runs import Killed, Kills
from searches import shorten

import onnx_evoq
from onnx_evoq import ClusterError, Resources
from onnx_evoq.record import checked_text
from onnx_evoq.record.run import FORMAT

OPTIMIZE = (
    "optimize", "net.onnx", "--bits", 4, "--data", "calib.npz", "--generations", 2,
    "--init", "nearest", "--time-budget", "none", "-q",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and data, which is the current one."""
    (tmp_path / "net.onnx").write_bytes(mlp().SerializeToString())
    np.savez(tmp_path / "calib.npz", x=random(24, 4))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def killed(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a command that is killed at its third step."""
    with monkeypatch.context() as patch:
        Kills(patch, 3)
        with pytest.raises(Killed):
            run_command(*arguments)


def test_a_killed_run_goes_on_from_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(*OPTIMIZE, "-o", "whole.onnx")
    killed(monkeypatch, *OPTIMIZE, "-o", "out.onnx", "--run-dir", "run")
    assert not Path("out.onnx").exists()
    other = folder / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    invoke("optimize", "--resume", folder / "run")
    assert (folder / "out.onnx").read_bytes() == (folder / "whole.onnx").read_bytes()


def test_a_run_leaves_its_result_and_its_log(folder: Path) -> None:
    invoke(*OPTIMIZE, "--run-dir", "run")
    values = json.loads(Path("run/result.json").read_text())
    assert values["scores"]["evolved"]["heldout"] is not None
    assert values["details"] is not None
    assert Path("run/layers.csv").read_text().startswith("weight,")
    events = [json.loads(line)["event"] for line in Path("run/log.jsonl").read_text().splitlines()]
    assert (events[0], events[-1]) == ("start", "end")
    about = json.loads(Path("run/run.json").read_text())
    assert about["state"] == "done"
    assert len(about["model"]["sha256"]) == len(about["data"]["sha256"]) == 64


def test_options_of_a_file_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("options.toml").write_text("bits = 5\n")
    command = [word for word in OPTIMIZE if word not in ("--bits", 4)]
    killed(monkeypatch, *command, "--config", "options.toml", "--run-dir", "run")
    Path("options.toml").unlink()
    invoke("optimize", "--resume", "run", "-o", "out.onnx", "-q")
    assert json.loads(Path("run/result.json").read_text())["bits"] == 5


def test_an_option_may_be_repeated_but_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed(monkeypatch, *OPTIMIZE, "--run-dir", "run")
    assert "(bits was 4, and is 5)" in error_of("optimize", "--resume", "run", "--bits", 5)
    assert "(seed was 0, and is 1)" in error_of("optimize", "--resume", "run", "--seed", 1)
    said = error_of("optimize", "--resume", "run", "--strategy", "none", "--narrow-range")
    assert "narrow_range was off, and is on; strategy was neuroevolution, and is none" in said
    invoke("optimize", "--resume", "run", "--bits", 4, "--workers", 1, "--time-budget", "1h")


def test_a_search_goes_on_as_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    command = ("search", "net.onnx", "--data", "calib.npz", "--granularity", "tensor", "-q")
    killed(monkeypatch, *command, "--time-budget", "none", "--run-dir", "run")
    assert "is a run of search" in misuse("optimize", "--resume", "run")
    invoke("search", "--resume", "run", "-q")
    front = json.loads(Path("run/result.json").read_text())["front"]
    assert front == json_of(*command, "--time-budget", "none")["front"]


def test_folders_that_do_not_fit_are_refused(folder: Path) -> None:
    invoke(*OPTIMIZE, "--run-dir", "run")
    assert "holds a run already: go on with --resume" in error_of(*OPTIMIZE, "--run-dir", "run")
    assert "give one" in error_of("optimize", "--resume", "run", "--run-dir", "new")
    Path("photos").mkdir()
    Path("photos/one.png").touch()
    assert "holds other files" in error_of(*OPTIMIZE, "--run-dir", "photos")
    Path("empty").mkdir()
    for other in ("photos", "empty", "."):
        said = misuse("optimize", "--resume", other)
        assert f"{other}: holds no run (there is no run.json): name the folder that" in said
    Path("run/command.json").unlink()
    assert "command.json: cannot be read" in misuse("optimize", "--resume", "run")


@pytest.mark.parametrize("name", ["command.json", "run.json"])
def test_a_file_that_was_changed_is_named(name: str) -> None:
    invoke(*OPTIMIZE, "--run-dir", "run")
    path = Path("run") / name
    values = json.loads(path.read_text())
    changes = ["{", "[]", json.dumps({**values, "seed": 1})]
    changes += [json.dumps({k: v for k, v in values.items() if k != key}) for key in values]
    for content in changes:
        path.write_text(content)
        before = files(Path("run"))
        said = misuse("optimize", "--resume", "run")
        assert f"run/{name}: was changed or damaged since" in said
        assert files(Path("run")) == before


def test_a_step_that_was_changed_is_found_again(folder: Path) -> None:
    invoke(*OPTIMIZE, "-o", "out.onnx", "--run-dir", "run")
    before = Path("out.onnx").read_bytes()
    step, *others = sorted(
        path for path in Path("run/steps").rglob("*.npz") if "codes" in str(path)
    )
    assert others
    step.write_bytes(others[0].read_bytes())
    said = " ".join(run_command("optimize", "--resume", "run").stderr.split())
    assert f"was changed or damaged since, and was found again: run/{step.relative_to('run')}" in (
        said
    )
    assert Path("out.onnx").read_bytes() == before
    assert "found again" not in run_command("optimize", "--resume", "run").stderr


def test_what_vanished_or_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    killed(monkeypatch, *OPTIMIZE, "--run-dir", "run")
    Path("calib.npz").rename("moved.npz")
    said = misuse("optimize", "--resume", "run")
    assert "calib.npz: is not there any more: say where it is now" in said
    assert "(onnx-evoq optimize --data NEW --resume run)" in said
    np.savez("calib.npz", x=random(24, 4) + 1)
    assert "the data is another one by its content" in error_of("optimize", "--resume", "run")
    Path("net.onnx").rename("moved.onnx")
    assert "(onnx-evoq optimize NEW --resume run)" in misuse("optimize", "--resume", "run")
    Path("net.onnx").write_bytes(mlp(opset=18).SerializeToString())
    assert "the model is another one by its content" in error_of("optimize", "--resume", "run")
    Path("net.onnx").unlink()
    invoke("optimize", "moved.onnx", "--data", "moved.npz", "--resume", "run")


def test_the_report_of_a_run_that_goes_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    killed(monkeypatch, *OPTIMIZE, "--run-dir", "run")
    line = error_of("report", "run")
    assert (
        "the run in run is not finished (it still runs, was killed, or ended with an error)" in line
    )
    assert line.endswith("go on with onnx-evoq optimize --resume run.")
    invoke("optimize", "--resume", "run")
    assert invoke("report", "run").stderr == ""
    assert "not finished" not in Path("run/report.html").read_text(encoding="utf-8")
    about = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps({**about, "state": "interrupted"}))
    for result in ("run", "run/result.json"):
        said = " ".join(invoke("report", result).stderr.split())
        assert said.startswith("Note: the run in run is not finished (it was interrupted): this is")
        page = Path("run/report.html").read_text(encoding="utf-8")
        assert "The run in run is not finished (it was interrupted): this is what was" in page
        Path("run/report.html").unlink()


@pytest.mark.parametrize("command", ["optimize", "search"])
def test_the_error_of_a_lost_cluster_says_how_the_run_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def lose(model: Path, run_dir: Path | None, resources: Resources, **options: Any) -> None:
        if resources.cluster is None:
            raise CalledError
        if run_dir is not None and run_dir.name == "run":  # it was begun
            (run_dir / "run.json").write_bytes(checked_text({"format": FORMAT}))
        raise ClusterError("it is lost: start it.")

    monkeypatch.setattr(onnx_evoq, FUNCTIONS[command], lose)
    width = ("--bits", 4) if command == "optimize" else ()
    words = (command, "net.onnx", *width, "--cluster", "tcp://host:1")
    assert error_of(*words) == "Error: it is lost: start it."
    assert error_of(*words, "--run-dir", "connected") == "Error: it is lost: start it."
    kept = (
        "Error: it is lost: start it. What was found is kept: go on with onnx-evoq "
        f"{command} --resume run, with --cluster ADDRESS on another cluster, or --cluster none on "
        "this machine alone."
    )
    assert error_of(*words, "--run-dir", "run") == kept
    assert error_of(command, "--resume", "run") == kept  # the cluster is an option of the command
    here = run_command(command, "--resume", "run", "--cluster", "none")
    assert isinstance(here.exception, CalledError)
