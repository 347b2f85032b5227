"""Files whose reading ends, and what is none."""

import os
import socket
from pathlib import Path

import pytest

from onnx_evoq.data.reading.regular_file import check_regular
from onnx_evoq.errors import DataError


def test_a_file_and_a_link_to_it_are_regular(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to("a")
    check_regular(tmp_path / "a")
    check_regular(tmp_path / "b")


def test_other_things_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)  # a short name, as that of a socket must be
        server.bind("socket")
    expected = {
        "pipe": "is a pipe, and no file: remove or replace it",
        "folder": "is a folder, and no file",
        "socket": "is a socket, and no file",
        "link": "cannot be read: No such file or directory",
    }
    for name, sentence in expected.items():
        with pytest.raises(DataError, match=f"{name}: {sentence}"):
            check_regular(tmp_path / name)
    with pytest.raises(DataError, match="/dev/null: is a device"):
        check_regular(Path("/dev/null"))
