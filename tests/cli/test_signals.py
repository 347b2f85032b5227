"""Signals end a command with what it found, and a second one at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_evoq.cli.signals import Signals

MODELS = Path(__file__).parent.parent.parent / "models"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_is_the_exit_code(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Signals() as signals:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert (signals.first, signals.exit_code) == (number, 128 + number)
    assert signal.getsignal(number) is before


def test_ctrl_c_from_elsewhere_has_the_exit_code_of_sigint() -> None:
    with Signals() as signals:
        assert (signals.first, signals.exit_code) == (None, 130)


def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def stopped_twice(removed: list[str]) -> None:
    with Signals():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            removed.append("a file")


def test_a_second_signal_ends_the_process_when_files_are_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes, removed = list[int](), list[str]()
    monkeypatch.setattr(os, "_exit", codes.append)
    with pytest.raises(SystemExit) as end:
        stopped_twice(removed)
    assert (removed, codes, end.value.code) == (["a file"], [143], 143)


def command(folder: Path) -> subprocess.Popen[str]:
    """A command that searches for a minute, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "onnx_evoq", "optimize", str(MODELS / "digits_resnet.onnx"),
         "--bits", "3", "--data", str(MODELS / "digits_calib.npz"), "--time-budget", "60s",
         "-o", str(folder / "out.onnx")],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip


def test_a_command_that_is_stopped_writes_what_it_found_or_says_that_there_is_nothing(
    tmp_path: Path,
) -> None:
    process = command(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=4)
    process.terminate()
    said, notes = process.communicate(timeout=60)
    assert process.returncode == 143
    written = [path.name for path in tmp_path.iterdir()]
    if written:
        assert written == ["out.onnx"]
        assert "emitted" in said or "evolved" in said
        assert "the search was interrupted" in " ".join(notes.split())
    else:  # on a machine that had not begun to search
        assert notes.endswith("Error: stopped before anything was found: nothing was written.\n")
