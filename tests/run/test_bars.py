"""Progress: bars on a terminal, lines elsewhere."""

import io
import sys

import pytest

from onnx_evoq.run.bars import Lines, bars


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
        if is_terminal:
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


def test_long_work_without_a_terminal_shows_a_line_every_30_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [100.0]
    lines = Lines("reconstructing", 54, lambda: now[0])
    for seconds in [10, 19.5, 0.5, 29, 1.5, 5]:
        now[0] += seconds
        lines.step(2)
    assert capsys.readouterr().err.splitlines() == [
        "reconstructing: 6 of 54, 0:30 spent, 4:00 left",
        "reconstructing: 10 of 54, 1:00 spent, 4:26 left",
    ]


def test_a_line_of_very_long_work_has_hours(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines("evolving", 2.5, lambda: now[0])
    now[0] = 3605
    lines.step(0)
    now[0] = 7210
    lines.step(1.25)
    assert capsys.readouterr().err.splitlines() == [
        "evolving: 0 of 2.5, 1:00:05 spent",
        "evolving: 1.2 of 2.5, 2:00:10 spent, 2:00:10 left",
    ]
