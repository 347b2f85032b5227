"""The folder of temporary files is named where it has no room."""

import tempfile

import pytest

from onnx_evoq.temporary_folder import no_room, temporary_folder


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
