"""Steps of a run that are kept in a folder."""

import io
from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.errors import StorageError
from onnx_evoq.record import NO_STEPS
from onnx_evoq.record.steps import FolderSteps, file_name


def test_a_step_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    steps = FolderSteps(tmp_path)
    steps.save("conv1", {"codes": np.arange(3, dtype=np.int8)}, done=3, name="a")
    kept = FolderSteps(tmp_path).load("conv1")
    assert kept is not None
    assert kept.arrays["codes"].tolist() == [0, 1, 2]
    assert kept.arrays["codes"].dtype == np.int8
    assert kept.facts == {"done": 3, "name": "a"}


def test_a_step_that_was_not_saved_is_not_there(tmp_path: Path) -> None:
    assert FolderSteps(tmp_path / "no such folder").load("conv1") is None


def test_the_last_of_several_counts(tmp_path: Path) -> None:
    steps = FolderSteps(tmp_path)
    for done in range(3):
        steps.save("conv1", done=done)
    kept = steps.load("conv1")
    assert kept is not None
    assert kept.facts == {"done": 2}


def test_parts_are_apart(tmp_path: Path) -> None:
    steps = FolderSteps(tmp_path)
    steps.part("pass 1").save("conv1", done=1)
    steps.part("pass 2").save("conv1", done=2)
    kept = steps.part("pass 1").load("conv1")
    assert kept is not None
    assert kept.facts == {"done": 1}
    assert steps.load("conv1") is None


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    steps = FolderSteps(tmp_path)
    steps.save("conv1", done=1)
    steps.part("a", "b").save("conv1", done=1)
    steps.forget("conv1")
    steps.forget("a")
    assert steps.load("conv1") is steps.part("a", "b").load("conv1") is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_changed_counts_as_missing(tmp_path: Path) -> None:
    steps = FolderSteps(tmp_path)
    steps.save("conv1", {"codes": np.arange(1000)})
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    other = io.BytesIO()
    np.save(other, np.zeros(3))
    edited = io.BytesIO()
    np.savez(edited, codes=np.arange(999), facts=np.array("[]"))
    changed = [
        b"", whole[:100], whole[: len(whole) // 2], whole[:500] + b"x" * 9 + whole[509:],
        whole + b"x", whole[:-1] + b"-", other.getvalue(), edited.getvalue(),
    ]  # fmt: skip
    for content in changed:
        file.write_bytes(content)
        steps = FolderSteps(tmp_path)
        assert steps.load("conv1") is None
        assert list(steps.changed) == [file]
    file.write_bytes(whole)
    assert FolderSteps(tmp_path).load("conv1") is not None


@pytest.mark.parametrize("place", ["conv2.npz", "a/conv1.npz"])
def test_a_copy_of_another_step_counts_as_missing(tmp_path: Path, place: str) -> None:
    steps = FolderSteps(tmp_path)
    steps.save("conv1", done=1)
    (tmp_path / "a").mkdir()
    (tmp_path / place).write_bytes((tmp_path / "conv1.npz").read_bytes())
    part = steps.part("a") if place.startswith("a/") else steps
    assert part.load(Path(place).stem) is None
    assert list(steps.changed) == [tmp_path / place]


def test_a_step_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "conv1.npz").mkdir()
    with pytest.raises(StorageError, match=r"conv1\.npz: cannot be read .*remove it"):
        FolderSteps(tmp_path).load("conv1")


def test_other_programs_can_read_a_step(tmp_path: Path) -> None:
    FolderSteps(tmp_path).save("conv1", {"codes": np.arange(3)}, done=1)
    with np.load(tmp_path / "conv1.npz") as archive:
        assert sorted(archive.files) == ["codes", "facts"]
        assert archive["codes"].tolist() == [0, 1, 2]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        FolderSteps(tmp_path).save("conv1", {"codes": np.array([{}])})
    assert not list(tmp_path.iterdir())


def test_no_step_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = FolderSteps(tmp_path)
    steps.save("conv1", done=1)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StorageError, match=r"No space left on device.*--resume"):
        steps.save("conv1", done=2)
    monkeypatch.undo()
    kept = steps.load("conv1")
    assert kept is not None
    assert kept.facts == {"done": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        FolderSteps(tmp_path).save("conv1", error=float("nan"))


@pytest.mark.parametrize("name", ["a/b", "..", "a:b", "C:\\x", "é", "x" * 300, "con.", "*?", "\0"])
def test_any_name_is_that_of_a_file(tmp_path: Path, name: str) -> None:
    steps = FolderSteps(tmp_path)
    steps.save(name, done=1)
    assert steps.load(name) is not None
    assert [each.parent for each in tmp_path.rglob("*.npz")] == [tmp_path]


def test_long_names_stay_apart() -> None:
    assert file_name("x" * 300 + "a") != file_name("x" * 300 + "b")


def test_without_a_folder_nothing_is_kept() -> None:
    part = NO_STEPS.part("a")
    part.save("conv1", done=1)
    part.forget("conv1")
    assert part.load("conv1") is None
