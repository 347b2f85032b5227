"""The outputs of a command: they are checked before any work is done, and written at the end."""

import itertools
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.options import CONFIG
from onnx_evoq.errors import OptionError, OutputError
from onnx_evoq.model import data_file_of, data_files, in_one_file, size_in_bytes
from onnx_evoq.output_file import (
    check_writable,
    is_replaced,
    is_stdout,
    print_stdout,
    same_file,
    write_file,
    write_stdout,
)
from onnx_evoq.report import Result
from onnx_evoq.user_function import is_import_path


def target_of(model: Path, output: Path | None, kind: str, ending: str = "onnx") -> Path:
    """The path of the file to write: `output`, or one in the folder of the float model.

    Example:
        >>> target_of(Path("models/net.onnx"), None, "w6").name
        'net.w6.onnx'
    """
    return output or model.with_name(f"{model.stem}.{kind}.{ending}")


def check_ending(output: Path | None, header: bool) -> None:
    """Refuse the name of a model for a C header, and that of a header for a model.

    Args:
        output: the file to write; None if the user names none.
        header: whether it is a C header.

    Raises:
        OptionError: the name ends as that of the other kind does.
    """
    ending = "" if output is None else output.suffix.lower()
    if header and ending == ".onnx":
        raise OptionError(f"{output}: --format c writes a C header: name a file that ends in .h.")
    if not header and ending in (".h", ".hpp"):
        raise OptionError(
            f"{output}: this file would hold an ONNX model: name one that ends in .onnx, or make a "
            "header with optimize --format c."
        )


def check_outputs(
    outputs: Sequence[Path], model: Path, options: Mapping[str, Any], as_json: bool
) -> bool:
    """Check the outputs of a command.

    Args:
        outputs: the paths to write; - is standard output.
        model: the model that is read.
        options: the other options by name; some of them name files that are read.
        as_json: whether a JSON object is printed.

    Returns:
        Whether one of the outputs is standard output.

    Raises:
        OutputError: an output cannot be written, is also read, or is given twice.
        OptionError: an output is standard output, where the JSON object is printed.
    """
    inputs = _inputs(model, options)
    outputs = [*outputs, *_data_outputs(outputs, model)]
    for path in outputs:
        if not _is_dash(path):
            check_writable(path)
    to_stdout = any(_is_dash(path) or is_stdout(path) for path in outputs)
    if to_stdout and as_json:
        raise OptionError("--json writes to standard output, too: name a file for the output.")
    for path, (file, role) in itertools.product(outputs, inputs):
        if _same(path, file):
            raise OutputError(f"{path}: {role}: name another file.")
    for one, other in itertools.combinations(outputs, 2):
        if _same(one, other):
            raise OutputError(f"{other}: another output goes there, too: name another file.")
    return to_stdout


def _inputs(model: Path, options: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """The files that a command reads, each with the end of an error message about it."""
    files = [(model, "is the model itself")]
    files += [(file, "holds the model's data") for file in data_files(model)]
    given = {**options, "config": click.get_current_context().meta.get(CONFIG)}
    for name in ("data", "labels", "policy", "config", "metric"):
        text = str(given.get(name) or "")
        if is_import_path(text):  # file.py:function
            files.append((Path(text.rpartition(":")[0]), f"is what --{name} reads"))
        elif text and name != "metric":
            files.append((Path(text), f"is what --{name} reads"))
    return files


def _data_outputs(outputs: Sequence[Path], model: Path) -> list[Path]:
    """The data files that are written beside models, as `model` has one."""
    models = [path for path in outputs if path.suffix == ".onnx" and is_replaced(path)]
    return [data_file_of(path) for path in models] if data_files(model) else []


def _is_dash(path: Path) -> bool:
    return str(path) == "-"


def _same(output: Path, other: Path) -> bool:
    """Whether both are the same file, or both are standard output."""
    if _is_dash(output):
        return _is_dash(other) or is_stdout(other)
    return is_stdout(output) if _is_dash(other) else same_file(output, other)


def write(path: Path, content: bytes) -> None:
    """Write to a file, or to standard output, which is ``-`` or a path that leads there."""
    if _is_dash(path) or is_stdout(path):
        write_stdout(content)
    else:
        write_file(path, content)


def write_model(path: Path, result: Result) -> tuple[Result, str]:
    """Write the model of a result as `write` does.

    Returns:
        The result with the bytes of the files, and their names.
    """
    if _is_dash(path) or not is_replaced(path):
        content = in_one_file(result.model, path)
        write(path, content)
        return replace(result, bytes_after=len(content)), str(path)
    result.save(path)
    beside = "".join(f" (and {file.name})" for file in data_files(path))
    return replace(result, bytes_after=size_in_bytes(path)), f"{path}{beside}"


def show(
    text: str,
    values: Mapping[str, Any],
    notes: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    to_stderr: bool = False,
) -> None:
    """Print notes on stderr, and then a text, or the same values as one JSON object.

    Args:
        text: tables for people.
        values: the same values for programs.
        notes: sentences that a user should read.
        quiet: whether to leave the notes out.
        as_json: whether to print the values instead of the text.
        to_stderr: whether to print the text on stderr, since a model is written to stdout.
    """
    for note in () if quiet else notes:
        click.echo(note_text(note), err=True)
    printed = json.dumps(values, allow_nan=False) if as_json else printable(text)
    if to_stderr:
        click.echo(printed, err=True)
    else:
        print_stdout(printed)


def printable(text: str) -> str:
    """A text without characters that steer a terminal, which names in a model may hold."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def note_text(note: str) -> str:
    """A note for people, in lines of 80 characters."""
    text = printable(f"Note: {note}")  # a path is never broken, so that it can be copied
    return textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False)
