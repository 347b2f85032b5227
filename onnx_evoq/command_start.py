"""Ctrl-C while the command starts: it ends quietly, also while Python imports the libraries.

That takes a second or more, in which Python would answer Ctrl-C with the traceback of an import. So
this file is the first that the package imports. In a program that imports the package it does
nothing: there signals belong to the program.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType


def is_command(arguments: Sequence[str], given: Sequence[str]) -> bool:
    """Whether the package is imported to run its command.

    Args:
        arguments: `sys.argv`; its first is "-m" while Python looks for the module to run.
        given: `sys.orig_argv`, the arguments of Python itself.

    Example:
        >>> is_command(["/usr/bin/onnx-evoq", "inspect"], ["python", "/usr/bin/onnx-evoq"])
        True
        >>> is_command(["-m", "inspect"], ["python", "-m", "onnx_evoq", "inspect"])
        True
        >>> is_command(["train.py"], ["python", "train.py"])
        False
    """
    if arguments[:1] == ["-m"]:
        after = given[list(given).index("-m") + 1 :] if "-m" in given else []
        return list(after[:1]) == ["onnx_evoq"]
    return bool(arguments) and Path(arguments[0]).stem == "onnx-evoq"


def end_quietly(number: int, frame: FrameType | None) -> None:
    """End the process as shells do, with 128 and the number of the signal."""
    os._exit(128 + number)


_main_thread = threading.current_thread() is threading.main_thread()
_plain = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _main_thread and _plain and is_command(sys.argv, sys.orig_argv):
    signal.signal(signal.SIGINT, end_quietly)
