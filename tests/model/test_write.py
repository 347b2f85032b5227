"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from onnx_evoq.errors import OutputError
from onnx_evoq.model import check_writable, write_file


def test_content_arrives_and_nothing_else_stays(tmp_path: Path) -> None:
    write_file(tmp_path / "a.onnx", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"content"


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older and longer")
    write_file(tmp_path / "a.onnx", b"new")
    assert (tmp_path / "a.onnx").read_bytes() == b"new"


def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_file(tmp_path / "a.onnx", b"content")
    assert (tmp_path / "a.onnx").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [check_writable, lambda path: write_file(path, b"")])
def test_a_missing_folder_is_named(tmp_path: Path, write: object) -> None:
    with pytest.raises(OutputError, match=r"a\.onnx: cannot be written .*: choose another place"):
        write(tmp_path / "nowhere" / "a.onnx")  # type: ignore[operator]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder: name a file in it"):
        write_file(tmp_path, b"")
