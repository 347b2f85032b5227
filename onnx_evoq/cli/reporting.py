"""Ends of commands: errors in one line, and exit codes."""

import functools
import sys
from typing import Any

import click

from onnx_evoq.cli.options import Command
from onnx_evoq.cli.output_paths import printable
from onnx_evoq.cli.process import EndedAtOnce, Signals
from onnx_evoq.errors import BudgetError, EvoqError


def reporting(command: Command) -> Command:
    """Make a command print an error, or a lack of memory, as one line, and exit with 1.

    The exit code of a budget or a drop that no model holds is 3, so that a pipeline can tell. That
    of a command which a signal ended is 128 and the signal's number, also where what was found by
    then was written; an error that follows keeps its own.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with Signals() as signals:
            code = 1
            try:
                command(*args, **kwargs)
            except (EvoqError, MemoryError) as error:
                message = sentence_of(error)
                code = 3 if isinstance(error, BudgetError) else 1
            except KeyboardInterrupt as error:
                message = sentence_of(error)
                code = signals.exit_code
            else:
                if signals.first is not None:
                    sys.exit(signals.exit_code)
                return
            click.echo("Error: " + printable(message), err=True)
            sys.exit(code)

    return run


def sentence_of(error: BaseException) -> str:
    """What ended a command, in one line."""
    if isinstance(error, EvoqError):
        message = str(error)
    elif isinstance(error, MemoryError):
        message = (
            f"there is not enough memory ({str(error) or 'it ran out'}): use fewer samples "
            "(--samples), or hold less in memory (--memory)."
        )
    elif isinstance(error, KeyboardInterrupt):
        message = "stopped before there was a result."
    elif isinstance(error, EndedAtOnce):
        message = "ended at once by a second signal."
    else:
        message = f"{type(error).__name__}: {error}"
    return " ".join(message.split())
