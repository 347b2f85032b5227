"""Signals end a command with what it found, and a second one at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onnx_evoq.cli.process import signals
from onnx_evoq.cli.process.signals import EndedAtOnce, Signals

MODELS = Path(__file__).parents[3] / "models"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_is_the_exit_code(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Signals() as caught:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert (caught.first, caught.exit_code) == (number, 128 + number)
    assert signal.getsignal(number) is before


def test_ctrl_c_from_elsewhere_has_the_exit_code_of_sigint() -> None:
    with Signals() as caught:
        assert (caught.first, caught.exit_code) == (None, 130)


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
    monkeypatch.setattr(signals, "remove_named_files", lambda: removed.append("those of threads"))
    with pytest.raises(EndedAtOnce):
        stopped_twice(removed)
    assert (removed, codes) == (["a file", "those of threads"], [143])


READER = """
import pathlib
import numpy as np

def reader():
    pathlib.Path(__file__).with_suffix(".began").touch()
    x = np.load({data!r})["x"]
    return iter([dict(x=x[:128])])
"""


def test_a_command_that_is_stopped_writes_what_it_found_or_says_that_there_is_nothing(
    tmp_path: Path,
) -> None:
    reader, output = tmp_path / "reader.py", tmp_path / "output"
    reader.write_text(READER.format(data=str(MODELS / "digits_calib.npz")))
    output.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "onnx_evoq", "optimize", str(MODELS / "digits_resnet.onnx"),
         "--bits", "3", "--data", f"{reader}:reader", "--time-budget", "60s",
         "-o", str(output / "out.onnx")],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(output)},
    )  # fmt: skip
    while not reader.with_suffix(".began").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1.5)
    process.terminate()
    said, notes = process.communicate(timeout=60)
    assert process.returncode == 143, notes
    written = [path.name for path in output.iterdir()]
    if written:
        assert written == ["out.onnx"]
        assert "emitted" in said or "evolved" in said
        assert "the search was interrupted" in " ".join(notes.split())
    else:  # on a machine that had not begun to search
        assert notes.endswith("Error: stopped before there was a result.\n")
