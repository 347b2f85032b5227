"""A lock on a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.record.lock import locked

HOLDS = """
import pathlib, sys
from onnx_evoq.record.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(OptionError, match=f"process {process.pid} on .* works there"):
            locked(tmp_path).__enter__()
        process.kill()
        process.wait()
    with locked(tmp_path):
        pass


def test_a_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / "lock.json").exists()
        assert not (tmp_path / "lock.json").exists()


def test_who_holds_it_need_not_be_known(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / "lock.json").write_text("{")
        with pytest.raises(OptionError, match="another process works there"):
            locked(tmp_path).__enter__()
