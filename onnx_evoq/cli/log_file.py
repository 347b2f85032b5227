"""The option --log-file: what a command writes to its log."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.options import Command
from onnx_evoq.cli.output_paths import note_text
from onnx_evoq.cli.reporting import sentence_of
from onnx_evoq.cli.run_folder import resumed_folder
from onnx_evoq.errors import OptionError
from onnx_evoq.progress import Progress
from onnx_evoq.run import RunLog

_LOG = "log.jsonl"  # in the folder of a run
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
        path: the file; None if none is asked for.
        folder: of the run, which has a log of its own; None if there is none.

    Attributes:
        paths: the file, for the check of what a command writes; none without a log.
        runs: the logs of the run.
    """

    def __init__(self, path: Path | None, folder: Path | None = None) -> None:
        if path is not None and str(path) == "-":
            raise OptionError("--log-file: names a file, and not standard output (-).")
        self.paths = [] if path is None else [path]
        own = [] if folder is None else [folder / _LOG]
        self.runs = [RunLog(each) for each in (*self.paths, *own)]

    def watching(self, progress: Progress) -> Progress:
        """The same progress, which is logged, too."""
        for run in self.runs:
            progress = run.watching(progress)
        return progress

    def begin(self) -> None:
        """Log which command begins, with its options.

        Raises:
            OutputError: the file cannot be opened.
        """
        context = click.get_current_context()
        for run in self.runs:
            run.start(context.info_name or "", context.params)

    def finish(self, values: Mapping[str, Any], notes: Sequence[str]) -> None:
        """Log the notes, and what was found.

        Args:
            values: the result as plain values; the log has the scores and sizes of them.
            notes: sentences that a user should read.
        """
        for run, note in itertools.product(self.runs, notes):
            run.note(note)
        optimized = values.get("optimized") or {}
        found, stopped = {**values, **optimized}, values.get("stopped") or optimized.get("stopped")
        shown = {name: found[name] for name in _AT_THE_END if name in found}
        if isinstance(shown.get("front"), list):
            shown["front"] = len(shown["front"])
        for run in self.runs:
            run.end(stopped or "complete", **shown)


def logged(command: Command) -> Command:
    """Give a command the option --log-file, and an argument `log`, which is a `Log`.

    An error or an interruption that ends the command is logged, if the log was begun.
    """

    @_OPTION
    @functools.wraps(command)
    def run(*args: Any, log_file: Path | None = None, **kwargs: Any) -> None:
        log = Log(log_file, resumed_folder() or kwargs.get("run_dir"))
        try:
            command(*args, log=log, **kwargs)
        except BaseException as error:  # raised again: what ends a run is its last line
            for each in log.runs:
                if each.started:
                    each.error(sentence_of(error))
            raise
        finally:
            for each in log.runs:
                each.close()
                if each.failure is not None:
                    click.echo(note_text(each.failure), err=True)

    return run
