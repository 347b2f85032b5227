"""Runs commands of the command line in this process, as several tests need them."""

import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import onnx_evoq
from onnx_evoq.cli import main

# The public function that each command calls.
FUNCTIONS = {
    "optimize": "optimize", "search": "search_and_optimize", "sensitivity": "rank_sensitivity",
    "evaluate": "evaluate", "inspect": "inspect", "verify": "verify",
}  # fmt: skip


def run_command(*arguments: object) -> Result:
    """Run a command, whether it succeeds or not."""
    # Before version 8.2, click mixes the two streams if it is not told to keep them apart.
    apart = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(main, [str(argument) for argument in arguments])


def invoke(*arguments: object) -> Result:
    """Run a command that must succeed."""
    result = run_command(*arguments)
    assert result.exit_code == 0, f"{result.stdout}{result.stderr}"
    return result


def json_of(*arguments: object) -> dict[str, Any]:
    """The one JSON object that a command prints with --json."""
    (line,) = invoke(*arguments, "--json").stdout.splitlines()
    values = json.loads(line)
    assert isinstance(values, dict)
    return values


def misuse(*arguments: object) -> str:
    """The text on stderr of a command that must be misused."""
    result = run_command(*arguments)
    assert result.exit_code == 2, result.output
    return result.stderr


def error_of(*arguments: object, code: int = 1) -> str:
    """The one line on stderr of a command that must fail, with that exit code."""
    result = run_command(*arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)  # anything else is a traceback
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def files(folder: Path) -> dict[Path, bytes]:
    """All regular files below a folder, except those in which Python caches a user's function."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path: path.read_bytes() for path in found}


def refused(model: Path, *options: object) -> str:
    """The line that a tiny optimize fails with; it must leave every file as it was."""
    before = files(model.parent)
    small = ("--population", 2, "--generations", 1, "--time-budget", "none")
    line = error_of("optimize", model, "--bits", 4, *small, *options)
    assert files(model.parent) == before
    return line


class CalledError(Exception):
    """A public function was called."""


def received(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: object) -> dict[str, Any]:
    """The arguments that a command gives its public function, which is not run."""
    given: dict[str, Any] = {}

    def record(model: Path, **named: Any) -> None:
        given.update(named, model=model)
        raise CalledError

    monkeypatch.setattr(onnx_evoq, FUNCTIONS[command], record)
    result = run_command(command, *arguments)
    assert isinstance(result.exception, CalledError), result.output
    return given
