"""The folder of a run."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from onnx_evoq.errors import OptionError, StorageError
from onnx_evoq.record import NO_RUN, about_run, kept_run
from onnx_evoq.record import run as module

OPTIONS = {"bits": 4, "seed": 0}


def test_a_run_goes_on_with_what_it_noted(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with kept_run(folder, OPTIONS) as run:
        run.note("measured", [1.5, [2, 3]])
        run.steps.save("conv1", done=1)
        assert (run.spent, run.folder) == (0.0, folder)
    with kept_run(folder, OPTIONS) as run:
        assert run.recall("measured") == [1.5, [2, 3]]
        assert run.recall("another") is None
        assert run.steps.load("conv1") is not None
        assert run.spent > 0


def test_other_options_are_refused_by_name(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS):
        pass
    before = (tmp_path / "run.json").read_bytes()
    with (
        pytest.raises(OptionError, match=r"options: bits: 4 there, 5 here"),
        kept_run(tmp_path, {**OPTIONS, "bits": 5}),
    ):
        pass
    after = json.loads((tmp_path / "run.json").read_bytes())
    assert after["options"] == json.loads(before)["options"]


def test_other_versions_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept_run(tmp_path, OPTIONS):
        pass
    monkeypatch.setattr(module, "versions", lambda: {"numpy": "0.1"})
    with pytest.raises(OptionError, match=r"versions: .*numpy"), kept_run(tmp_path, OPTIONS):
        pass


def test_something_else_is_refused(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.same("model", {"sha256": "a"})
        run.same("model", {"sha256": "a"})
        with pytest.raises(OptionError, match="model: sha256: a there, b here"):
            run.same("model", {"sha256": "b"})


def test_tuples_are_the_same_as_lists(tmp_path: Path) -> None:
    for _ in range(2):
        with kept_run(tmp_path, {"range": (0, 1)}):
            pass


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        kept_run(tmp_path, OPTIONS),
        pytest.raises(OptionError, match="works there"),
        kept_run(tmp_path, OPTIONS),
    ):
        pass


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.steps.save("conv1", done=1)
    left = tmp_path / "steps" / ".part-x"
    left.touch()
    with kept_run(tmp_path, OPTIONS):
        assert not left.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("photo.png", "", "holds other files"),
        ("run.json", "{", "not that of a run"),
        ("run.json", "[]", "not that of a run"),
        ("run.json", '{"format": 1, "seconds": "x"}', "not that of a run"),
        ("run.json", '{"format": 1, "seconds": -1}', "not that of a run"),
        ("run.json", '{"format": 99, "seconds": 0}', "format 99, and this version reads 1"),
    ],
)
def test_a_folder_with_something_else_is_refused(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OptionError, match=said), kept_run(tmp_path, OPTIONS):
        pass
    assert (tmp_path / name).read_text() == content


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises((OptionError, StorageError), match="file"), kept_run(file, OPTIONS):
        pass


def test_how_a_run_ended_is_noted(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        assert state(tmp_path) == "running"
        run.ended("done")
    assert state(tmp_path) == "done"


def state(folder: Path) -> Any:
    """What the file of a run says of its state."""
    about = about_run(folder)
    assert about is not None
    return about["state"]


def test_an_empty_folder_has_no_run(tmp_path: Path) -> None:
    assert about_run(tmp_path) is about_run(tmp_path / "new") is None


def test_without_a_folder_nothing_is_kept() -> None:
    with kept_run(None, OPTIONS) as run:
        run.same("model", 1)
        run.same("model", 2)
        run.note("a", 1)
        run.ended("done")
        assert run is NO_RUN
        assert run.recall("a") is None


def test_the_time_counts_also_where_no_step_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WRITTEN_EVERY", 0.01)
    with kept_run(tmp_path, OPTIONS):
        began = seconds(tmp_path)
        for _ in range(500):
            if seconds(tmp_path) > began:
                break
            time.sleep(0.01)
        assert seconds(tmp_path) > began


def seconds(folder: Path) -> float:
    """The time that the file of a run says it has taken."""
    about = about_run(folder)
    assert about is not None
    return float(about["seconds"])


def test_a_run_whose_time_is_up_needs_more(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.needs_more_than(20.0)
        run.ended("time")
    with (
        pytest.raises(OptionError, match=r"more than 20 s \(--time-budget\)"),
        kept_run(tmp_path, OPTIONS) as run,
    ):
        run.needs_more_than(20.0)
    assert state(tmp_path) == "time"
    for budget in (30.0, None):
        with kept_run(tmp_path, OPTIONS) as run:
            run.needs_more_than(budget)
            run.ended("time")


def test_what_is_done_is_made_again_at_no_cost(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.ended("done")
    before = seconds(tmp_path)
    with kept_run(tmp_path, OPTIONS) as run:
        assert run.spent == 0
        assert state(tmp_path) == "done"
        run.ended("done")
    assert seconds(tmp_path) == before


@pytest.mark.parametrize("ended", ["done", "interrupted", "time"])
def test_a_run_that_is_refused_stays_as_it_was(tmp_path: Path, ended: str) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.ended(ended)
    with pytest.raises(OptionError, match="bits"), kept_run(tmp_path, {**OPTIONS, "bits": 5}):
        pass
    assert state(tmp_path) == ended
