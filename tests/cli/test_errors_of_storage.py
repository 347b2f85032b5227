"""A full disk ends a command in one line, and leaves no file behind."""

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest
from commands import error_of, refused

pytestmark = pytest.mark.usefixtures("no_least_cache")


@pytest.mark.parametrize("files", [0, 2, 3, 4, 5])
def test_a_full_disk_ends_any_stage_in_one_line(
    mlp_file: Path, mlp_data: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    made: list[int] = []

    def make(**given: Any) -> Any:
        if len(made) == files:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(1)
        return temporary_file(**given)

    temporary_file = tempfile.TemporaryFile
    older = mlp_file.with_name("out.onnx")
    older.write_bytes(b"older")
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    line = refused(mlp_file, "--data", mlp_data, "--memory", "0", "-o", older)
    assert f"no room for temporary files in {tempfile.gettempdir()}" in line
    assert "(No space left on device): set TMPDIR to a folder with more room" in line


@pytest.mark.parametrize("command", ["search", "sensitivity"])
def test_a_missing_folder_of_temporary_files_is_named(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    nowhere = str(mlp_file.parent / "nowhere")
    monkeypatch.setattr(tempfile, "tempdir", nowhere)
    line = error_of(command, mlp_file, "--memory", "0", "-q")
    assert f"no room for temporary files in {nowhere}" in line
