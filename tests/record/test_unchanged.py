"""Files of a run that something else has changed."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.record.unchanged import (
    checked_text,
    is_as_sealed,
    read_object,
    seal_archive,
    unchanged,
)


def archive() -> io.BytesIO:
    """A sealed zip archive with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a", "content")
    seal_archive(file, "run 1 a")
    return file


def test_an_archive_is_what_was_sealed_and_can_be_read() -> None:
    file = archive()
    assert is_as_sealed(file, "run 1 a")
    with zipfile.ZipFile(file) as read:
        assert read.read("a") == b"content"
        assert len(read.comment) == 64


def test_each_byte_of_an_archive_counts() -> None:
    whole = archive().getvalue()
    for place in range(len(whole)):
        other = bytes([whole[place] ^ 1])
        assert not is_as_sealed(io.BytesIO(whole[:place] + other + whole[place + 1 :]), "run 1 a")
        assert not is_as_sealed(io.BytesIO(whole[:place]), "run 1 a")


def test_an_archive_in_place_of_another_does_not_fit() -> None:
    assert not is_as_sealed(archive(), "run 1 b")


def test_an_object_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(checked_text({"a": 0.1, "b": [1, {"c": None}]}))
    assert unchanged(path, read_object(path)) == {"a": 0.1, "b": [1, {"c": None}]}


def test_an_object_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(checked_text({"a": 1}))
    changed = json.loads(path.read_text())
    changed["a"] = True
    with pytest.raises(OptionError, match=r"a\.json: was changed"):
        unchanged(path, changed)


@pytest.mark.parametrize("content", [b"", b"\xff", b"3", b"[]", b"{", b"[" * 100_000])
def test_what_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"a\.json: was changed or damaged"):
        read_object(path)
