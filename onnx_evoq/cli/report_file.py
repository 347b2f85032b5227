"""The page of a result: checked before any work, and written with the command that made it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.output_paths import write
from onnx_evoq.cli.process import ARGUMENTS
from onnx_evoq.errors import OutputError
from onnx_evoq.output_file import check_writable, same_file
from onnx_evoq.report import check_drawing, page_of_file, report_page

# Options of a command that say how test data are read and scored.
_FOR_TEST_DATA = {
    "divide", "mean", "std", "layout", "color", "resize", "crop", "metric", "score_at", "config",
    "custom_ops", "providers",
}  # fmt: skip
# Options of a search that the command for a point does not take, since its policy holds them.
_NOT_FOR_A_POINT = {
    "output", "policy", "granularity", "max_drop", "time_budget", "report", "quiet", "as_json",
}  # fmt: skip


def check_report(path: Path | None) -> list[Path]:
    """Check that a page can be drawn, if one is asked for.

    Returns:
        The page, among what a command writes; nothing without one.

    Raises:
        OutputError: Matplotlib is not installed.
    """
    if path is None:
        return []
    check_drawing()
    return [path]


def write_report(path: Path | None, values: dict[str, Any]) -> dict[str, Any]:
    """Write the page of a result, if one is asked for.

    Args:
        path: the file; None for no page.
        values: of the result, as `to_dict` gives them.

    Returns:
        The values, with the command that made them if there is a page.
    """
    if path is None:
        return values
    values = with_command(values)
    write(path, report_page(values).encode())
    return values


def with_command(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a result with the command that made it, and parts of commands that follow.

    Args:
        values: of the result.
    """
    context = click.get_current_context()
    given = context.meta[ARGUMENTS]
    group = context.find_root().command
    assert isinstance(group, click.Group)
    optimize = {option.name for option in group.commands["optimize"].params}
    parts = options_in(given[1:], context.command)
    command = {
        "words": ["onnx-evoq", *given],
        "data": [word for name, words in parts if name in _FOR_TEST_DATA for word in words],
        "optimize": [
            word
            for name, words in parts
            if name in optimize - _NOT_FOR_A_POINT - {"model"}
            for word in words
        ],
    }
    return {**values, "command": command}


def options_in(words: Sequence[str], command: click.Command) -> list[tuple[str, list[str]]]:
    """The options among the arguments of a command, each with the words that give it.

    Args:
        words: the arguments.
        command: the command.
    """
    options = {
        spelling: option
        for option in command.params
        if isinstance(option, click.Option)
        for spelling in (*option.opts, *option.secondary_opts)
    }
    found, rest = list[tuple[str, list[str]]](), list(words)
    while rest and rest[0] != "--":
        word = rest.pop(0)
        short = word[:2] if word[:1] == "-" and word[:2] != "--" else word
        name = short.partition("=")[0]
        if name not in options:
            continue
        own, option = [word], options[name]
        takes_more = not option.is_flag and "=" not in word and len(word) == len(name)
        if takes_more and rest:
            own.append(rest.pop(0))
        found.append((str(option.name), own))
    return found


def make_report(
    result: Path, output: Path | None, layers: Path | None, unfinished: str = ""
) -> None:
    """Write the page of a result that a command printed, and its layers as CSV.

    Args:
        result: the file, or the folder of a run.
        output: the page; None for report.html in the same folder.
        layers: the CSV file; None for none.
        unfinished: a sentence on the run, if it is not finished.

    Raises:
        OutputError: there is no such result, or a file cannot be written.
    """
    check_drawing()
    folder = result if result.is_dir() else result.parent
    target = folder / "report.html" if output is None else output
    outputs = [path for path in (target, layers) if path is not None]
    for path in outputs:
        if str(path) == "-":
            continue
        check_writable(path)
        if same_file(path, result):
            raise OutputError(f"{path}: is the result itself: name another file.")
    if layers is not None and same_file(target, layers):
        raise OutputError(f"{layers}: the page goes there, too: name another file.")
    page, table = page_of_file(result, unfinished)
    write(target, page.encode())
    if layers is not None:
        write(layers, table.encode())
