"""Files that are there as a whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from onnx_evoq.errors import StorageError
from onnx_evoq.record.files import new_folder_of_a_run, no_room_for, replacing_file


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing_file(path, durable=durable) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_after_an_error_the_older_one_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing_file(path, durable=True) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_system_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"), no_room_for(tmp_path / "a"):
        (tmp_path / "no folder" / "a").write_bytes(b"")


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "make room there"), (errno.EROFS, "files can be written")]
)
def test_only_a_full_disk_needs_room(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(StorageError, match=said), no_room_for(tmp_path / "a"):
        raise OSError(number, os.strerror(number))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "run"
    with (
        pytest.raises(StorageError, match=r"run: no run can be kept there \(.*\): name another"),
        new_folder_of_a_run(folder),
    ):
        pass


def test_a_file_that_is_written_can_be_read(tmp_path: Path) -> None:
    with replacing_file(tmp_path / "a", durable=False) as file:
        file.write(b"new")
        file.seek(0)
        assert file.read() == b"new"
