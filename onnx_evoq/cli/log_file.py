"""The option --log-file: what a command writes to its log."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.options import Command
from onnx_evoq.cli.output_paths import note_text
from onnx_evoq.cli.reporting import sentence_of
from onnx_evoq.errors import OptionError
from onnx_evoq.run import RunLog

_AT_THE_END = (
    "output", "scores", "front", "hypervolume", "reference", "evaluations", "bytes_after",
    "packed_bytes",
)  # fmt: skip

_OPTION = click.option(
    "--log-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append to this file what happens, one JSON object a line: the version and the options, "
    "each stage, about once a second where it is (layer, best value, evaluations), notes, errors, "
    "and at the end the scores.",
)


class Log:
    """The log of a command.

    Args:
        path: the file; None to log nothing.

    Attributes:
        paths: the file, for the check of what a command writes; none without a log.
        run: the log of the run.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None and str(path) == "-":
            raise OptionError("--log-file: names a file, and not standard output (-).")
        self.paths = [] if path is None else [path]
        self.run = RunLog(path)

    def begin(self) -> None:
        """Log which command begins, with its options.

        Raises:
            OutputError: the file cannot be opened.
        """
        context = click.get_current_context()
        self.run.start(context.info_name or "", context.params)

    def finish(self, values: Mapping[str, Any], notes: Sequence[str]) -> None:
        """Log the notes, and what was found.

        Args:
            values: the result as plain values; the log has the scores and sizes of them.
            notes: sentences that a user should read.
        """
        for note in notes:
            self.run.note(note)
        optimized = values.get("optimized") or {}
        found, stopped = {**values, **optimized}, values.get("stopped") or optimized.get("stopped")
        shown = {name: found[name] for name in _AT_THE_END if name in found}
        if isinstance(shown.get("front"), list):
            shown["front"] = len(shown["front"])
        self.run.end(stopped or "complete", **shown)


def logged(command: Command) -> Command:
    """Give a command the option --log-file, and an argument `log`, which is a `Log`.

    An error or an interruption that ends the command is logged, if the log was begun.
    """

    @_OPTION
    @functools.wraps(command)
    def run(*args: Any, log_file: Path | None = None, **kwargs: Any) -> None:
        log = Log(log_file)
        try:
            command(*args, log=log, **kwargs)
        except BaseException as error:  # raised again: what ends a run is its last line
            if log.run.started:
                log.run.error(sentence_of(error))
            raise
        finally:
            log.run.close()
            if log.run.failure is not None:
                click.echo(note_text(log.run.failure), err=True)

    return run
