"""Progress on stderr: a line that changes on a terminal, lines elsewhere."""

import io
import os
import sys

import pytest

from onnx_evoq.run.bars import Lines, LiveLine, bars
from onnx_evoq.run.stage import Stage


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
    return stream.getvalue()


def test_a_line_is_shown_from_the_start_and_removed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = shown(monkeypatch, is_terminal=True)
    assert text.startswith("\rscoring    0%  0:00 spent\r")
    assert text.rsplit("\r", 2)[1].strip() == ""
    assert text.endswith("\r")


def test_a_line_is_removed_at_an_interruption_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal(True)
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(KeyboardInterrupt), bars("scoring", 4):
        raise KeyboardInterrupt
    assert stream.getvalue().rsplit("\r", 2)[1].strip() == ""


def live(monkeypatch: pytest.MonkeyPatch, *widths: int) -> list[str]:
    """The lines that steps of a second each write over each other on a terminal."""
    stream, now = Terminal(True), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    sizes = iter(widths)
    if widths:
        monkeypatch.setattr(stream, "fileno", lambda: 2)
        monkeypatch.setattr(
            os, "get_terminal_size", lambda file: os.terminal_size((next(sizes), 24))
        )
    line = LiveLine(Stage("evolving 1", 4, lambda: now[0]), lambda: now[0])
    for name in ("features.0.conv.weight", "fc"):
        now[0] += 1
        line.step(1, layer=name, best=0.0123456, left=40)
        line.step(0)  # too soon to be shown
    return stream.getvalue().split("\r")[1:]


def test_a_line_says_where_the_work_is(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = live(monkeypatch)
    assert first == "evolving 1   25%  features.0.conv.weight  best 0.01235  0:01 spent, 0:03 left"
    assert second.rstrip() == "evolving 1   50%  fc  best 0.01235  0:02 spent, 0:02 left"
    assert len(second) == len(first)  # nothing of the line before is left


def test_a_narrow_terminal_cuts_names_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = live(monkeypatch, 70, 200)
    assert first == "evolving 1   25%  featur..weight  best 0.01235  0:01 spent, 0:03 left"
    assert len(first) <= 69
    assert second.startswith("evolving 1   50%  fc  best")


def test_there_is_no_bar_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, is_terminal=False) == ""


def test_long_work_without_a_terminal_shows_a_line_every_30_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [100.0]
    lines = Lines(Stage("reconstructing", 54, lambda: now[0]), lambda: now[0])
    for seconds in [10, 19.5, 0.5, 29, 1.5, 5]:
        now[0] += seconds
        lines.step(2, layer=f"conv{seconds}", best=2 / 3, left=250.0)
    assert capsys.readouterr().err.splitlines() == [
        "reconstructing: 6 of 54, conv0.5, best 0.6667, 0:30 spent, 4:00 left",
        "reconstructing: 10 of 54, conv1.5, best 0.6667, 1:00 spent, 4:10 left",
    ]
