"""The options --run-dir and --resume."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import error_of, invoke, json_of, misuse, run_command
from graphs import mlp, random
from kept_runs import Killed, Kills

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
    assert "widths: 4 there, 5 here" in error_of("optimize", "--resume", "run", "--bits", 5)
    assert "seed: 0 there, 1 here" in error_of("optimize", "--resume", "run", "--seed", 1)
    invoke("optimize", "--resume", "run", "--bits", 4, "--workers", 1, "--time-budget", "1h")


def test_a_search_goes_on_as_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "holds other files" in misuse("optimize", "--resume", "photos")
    Path("empty").mkdir()
    assert "begin one with --run-dir" in misuse("optimize", "--resume", "empty")
    Path("run/command.json").write_text("{")
    assert "command.json" in misuse("optimize", "--resume", "run")


def test_what_vanished_or_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    killed(monkeypatch, *OPTIMIZE, "--run-dir", "run")
    content = Path("calib.npz").read_bytes()
    Path("calib.npz").unlink()
    assert "calib.npz" in error_of("optimize", "--resume", "run")
    np.savez("calib.npz", x=random(24, 4) + 1)
    assert "data: sha256" in error_of("optimize", "--resume", "run")
    Path("calib.npz").write_bytes(content)
    model = Path("net.onnx").read_bytes()
    Path("net.onnx").write_bytes(mlp(opset=18).SerializeToString())
    assert "model: sha256" in error_of("optimize", "--resume", "run")
    Path("net.onnx").write_bytes(model)
    invoke("optimize", "--resume", "run")
