"""Commands run with standard streams that are closed or full."""

import errno
import io
import sys

import pytest

from onnx_evoq.cli import main
from onnx_evoq.cli.process.streams import Messages


class Full(io.StringIO):
    """A stream that has no room; it may take text that a flush cannot write."""

    def __init__(self, takes: bool = False) -> None:
        super().__init__()
        self.takes = takes

    def write(self, text: str) -> int:
        if self.takes:
            return len(text)
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("stream", [None, Full(), Full(takes=True)])
def test_messages_that_cannot_be_written_are_lost(stream: io.StringIO | None) -> None:
    messages = Messages(stream)
    assert messages.write("lost") == 4
    messages.flush()
    messages.flush()


def test_messages_that_can_be_written_are() -> None:
    stream = io.StringIO()
    print("kept", file=Messages(stream))
    assert stream.getvalue() == "kept\n"
    assert Messages(stream).isatty() is False


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_text_that_cannot_be_written_is_one_line(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    before = sys.stderr
    with pytest.raises(SystemExit) as end:
        main([option], prog_name="onnx-evoq")
    assert end.value.code == 1
    assert sys.stderr is before
    said = capsys.readouterr().err
    assert said == "Error: standard output: cannot be written (No space left on device).\n"
