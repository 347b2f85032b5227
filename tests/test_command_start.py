"""Ctrl-C while the libraries are imported."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_evoq.command_start import is_command

PROJECT = Path(__file__).parent.parent
LIBRARY = """
import os, signal, time
os.kill(os.getpid(), signal.{name})
time.sleep(0.2)
"""


@pytest.mark.parametrize(
    ("arguments", "given", "runs"),
    [
        (["/usr/bin/onnx-evoq", "inspect"], ["python", "/usr/bin/onnx-evoq", "inspect"], True),
        (["C:\\\\Scripts\\\\onnx-evoq.exe".rpartition("\\")[2]], ["python"], True),
        (["-m", "inspect"], ["python", "-X", "dev", "-m", "onnx_evoq", "inspect"], True),
        (["-m"], ["python", "-m", "pytest"], False),
        (["-m"], ["python"], False),
        (["-c"], ["python", "-c", "import onnx_evoq"], False),
        (["train.py", "-m", "onnx_evoq"], ["python", "train.py", "-m", "onnx_evoq"], False),
        ([], ["python"], False),
    ],
)
def test_the_command_is_known_by_how_python_was_started(
    arguments: list[str], given: list[str], runs: bool
) -> None:
    assert is_command(arguments, given) == runs


def run_with_library(tmp_path: Path, name: str, *arguments: str) -> "subprocess.CompletedProcess":
    """Run Python with an ONNX Runtime that sends a signal to the process that imports it."""
    library = tmp_path / "libraries" / "onnxruntime"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(LIBRARY.format(name=name))
    paths = os.pathsep.join([str(library.parent), str(PROJECT)])
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


@pytest.mark.parametrize("script", [False, True])
def test_ctrl_c_ends_the_command_quietly(tmp_path: Path, script: bool) -> None:
    arguments = ["-m", "onnx_evoq"]
    if script:
        file = tmp_path / "onnx-evoq"
        file.write_text("from onnx_evoq.cli import main\nmain()\n")
        arguments = [str(file)]
    done = run_with_library(tmp_path, "SIGINT", *arguments, "--help")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_request_to_end_ends_it_quietly_too(tmp_path: Path) -> None:
    done = run_with_library(tmp_path, "SIGTERM", "-m", "onnx_evoq", "--help")
    assert done.returncode in (-signal.SIGTERM, 143)
    assert (done.stdout, done.stderr) == ("", "")


def test_in_a_program_ctrl_c_is_what_it_was(tmp_path: Path) -> None:
    done = run_with_library(tmp_path, "SIGINT", "-c", "import onnx_evoq")
    assert done.returncode != 130
    assert "KeyboardInterrupt" in done.stderr
