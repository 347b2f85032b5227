"""The folder of a run."""

import json
import shutil
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from onnx_evoq.errors import OptionError, StorageError
from onnx_evoq.record import NO_RUN, about_run, kept_run, seconds_given, versions
from onnx_evoq.record import run as module
from onnx_evoq.run import installed

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
        pytest.raises(OptionError, match=r"\(bits was 4, and is 5\)"),
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
    monkeypatch.setattr(module, "versions", lambda: {**versions(), "numpy": "0.1"})
    with (
        pytest.raises(OptionError, match=r"versions numpy was .*, and is 0\.1"),
        kept_run(tmp_path, OPTIONS),
    ):
        pass


@pytest.mark.parametrize("package", ["onnxruntime", "onnxruntime-gpu"])
def test_versions_are_those_of_the_package_that_has_the_module(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    def version(name: str) -> str:
        if name not in (package, "numpy"):
            raise PackageNotFoundError(name)
        return f"1 of {name}"

    monkeypatch.setattr(installed, "version", version)
    monkeypatch.setattr(installed, "packages_distributions", lambda: {"onnxruntime": [package]})
    for cached in (installed.package_of, installed.version_of):
        monkeypatch.setattr(module, cached.__name__, cached.__wrapped__)
    assert versions() == {
        "onnx-evoq": "unknown", "onnx": "unknown", package: f"1 of {package}", "numpy": "1 of numpy"
    }  # fmt: skip


def test_something_else_is_refused(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.same("model", {"sha256": "a"})
        run.same("model", {"sha256": "a"})
        with pytest.raises(OptionError, match="the model is another one by its content"):
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
        ("run.json", "{", "run.json: was changed or damaged"),
        ("run.json", "[]", "run.json: was changed or damaged"),
        ("run.json", "[" * 100_000, "run.json: was changed or damaged"),
        ("run.json", '{"format": 3, "seconds": 0}', "run.json: was changed or damaged"),
        ("run.json", '{"format": 1, "seconds": 0}', "format 1, and this version reads 3"),
    ],
)
def test_a_folder_with_something_else_is_refused(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OptionError, match=said), kept_run(tmp_path, OPTIONS):
        pass
    assert (tmp_path / name).read_text() == content


def test_any_change_of_the_file_of_a_run_is_refused(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        run.note("measured", [1.5, [2, 3]])
        run.ended("interrupted")
    path = tmp_path / "run.json"
    whole = path.read_text()
    values = json.loads(whole)
    changes = [{k: v for k, v in values.items() if k != key} for key in values if key != "format"]
    changes += [{**values, key: other} for key in values for other in ("x", None, [])]
    changes.append({**values, "more": 1})
    for changed in changes:
        path.write_text(json.dumps(changed))
        with pytest.raises(OptionError, match=r"run\.json: was changed or damaged.*another folder"):
            about_run(tmp_path)
    path.write_text(json.dumps(values))  # in one line
    assert about_run(tmp_path) is not None


def test_a_run_says_which_steps_were_changed(tmp_path: Path) -> None:
    with kept_run(tmp_path, OPTIONS) as run:
        for name in "abcde":
            run.steps.save(name, done=1)
        assert run.notes == ()
    for name in "abcd":
        shutil.copy(tmp_path / "steps" / "e.npz", tmp_path / "steps" / f"{name}.npz")
    with kept_run(tmp_path, OPTIONS) as run:
        assert [run.steps.load(name) is None for name in "abcde"] == [True] * 4 + [False]
        (note,) = run.notes
    assert "found again" in note
    assert note.endswith(f"{tmp_path / 'steps' / 'c.npz'} and 1 more.")


def test_steps_of_another_run_are_not_taken(tmp_path: Path) -> None:
    for name in ("one", "other"):
        with kept_run(tmp_path / name, OPTIONS) as run:
            run.steps.save("conv1", done=1)
    step = Path("steps/conv1.npz")
    shutil.copy(tmp_path / "one" / step, tmp_path / "other" / step)
    with kept_run(tmp_path / "other", OPTIONS) as run:
        assert run.steps.load("conv1") is None
        assert len(run.notes) == 1


def test_a_run_may_move(tmp_path: Path) -> None:
    with kept_run(tmp_path / "one", OPTIONS) as run:
        run.steps.part("a").save("conv1", done=1)
    (tmp_path / "one").rename(tmp_path / "other")
    with kept_run(tmp_path / "other", OPTIONS) as run:
        assert run.steps.part("a").load("conv1") is not None


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


def test_the_seconds_that_a_run_was_given(tmp_path: Path) -> None:
    assert seconds_given(None) == seconds_given(tmp_path) == 0.0
    with kept_run(tmp_path, OPTIONS) as run:
        run.needs_more_than(20.0)
        assert 0 < seconds_given(tmp_path) < 20
        run.ended("time")
    assert seconds_given(tmp_path) == 20
