"""Progress bars on a terminal."""

import io
import sys

import pytest

from onnx_evoq.run.bars import bars


class Terminal(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def shown(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> str:
    """The text of a bar that goes half the way."""
    stream = Terminal(is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with bars("scoring", 4) as step:
        step(1)
        step(1)
        step.__self__.refresh()  # type: ignore[attr-defined]  # tqdm waits a little otherwise
    return stream.getvalue()


def test_a_bar_shows_its_label_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, is_terminal=True)
    assert "scoring" in text
    assert " 50%|" in text
    assert "spent" in text
    assert "left" in text


def test_a_bar_is_removed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, is_terminal=True).rsplit("\r", 2)[1].strip() == ""


def test_there_is_no_bar_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, is_terminal=False) == ""
