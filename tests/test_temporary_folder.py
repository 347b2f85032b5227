"""The folder of temporary files is named where it has no room."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from onnx_evoq.errors import StorageError
from onnx_evoq.temporary_folder import (
    named_file,
    no_room,
    remove_named_files,
    temporary_folder,
)


def test_the_folder_and_the_remedy_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/somewhere")
    assert temporary_folder() == "/somewhere"
    message = str(no_room(2_300_000_000, OSError(28, "No space left on device")))
    assert message.startswith("no room for temporary files in /somewhere, which must hold 2.3e+03")
    assert "(No space left on device): set TMPDIR" in message


def test_there_may_be_no_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise FileNotFoundError(2, "No usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert temporary_folder() == "/nowhere"
    monkeypatch.delenv("TMPDIR")
    assert temporary_folder() == "any folder"


def test_a_named_file_is_gone_afterwards() -> None:
    with named_file() as file:
        path = Path(file.name)
        assert path.exists()
    assert not path.exists()
    remove_named_files()  # knows none


def test_files_that_are_in_use_are_removed_before_the_process_ends() -> None:
    code = (
        "import os, threading\n"
        "from onnx_evoq.temporary_folder import named_file, remove_named_files\n"
        "made = threading.Event()\n"
        "def work():\n"
        "    with named_file() as file:\n"
        "        print(file.name, os.path.exists(file.name), flush=True)\n"
        "        made.set()\n"
        "        threading.Event().wait()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "made.wait()\n"
        "remove_named_files()\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    name, existed = done.stdout.split()
    assert existed == "True"
    assert not Path(name).exists()


def test_a_named_file_without_room_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with pytest.raises(StorageError, match="No space left"), named_file():
        pass
