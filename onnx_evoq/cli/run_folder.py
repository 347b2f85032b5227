"""The options --run-dir and --resume: a folder that keeps a run, and its command.

`command.json` in the folder holds the options of the command as they were given, with absolute
paths. On --resume they are the defaults of all options, so that the folder is all that is needed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.options import stacked
from onnx_evoq.cli.report_file import with_command
from onnx_evoq.cli.streams import ARGUMENTS
from onnx_evoq.errors import OptionError
from onnx_evoq.record import about_run, no_room_for, replacing_file
from onnx_evoq.report import write_twins
from onnx_evoq.user_function import is_import_path

_COMMAND = "command.json"
_RESUMED = "onnx_evoq.resumed"  # the key under which the context holds the folder
_NOT_KEPT = {"run_dir", "resume", "config", "quiet", "as_json", "help"}
_PATHS = {"data", "metric"}  # options that may be paths, though their types do not say so


def _resume(context: click.Context, option: click.Parameter, folder: Path | None) -> None:
    """Take the options of the command that began a run as defaults."""
    if folder is None:
        return
    name = context.info_name
    try:
        if about_run(folder) is None:
            raise OptionError(f"{folder}: holds no run: begin one with --run-dir.")
        kept = json.loads((folder / _COMMAND).read_text(encoding="utf-8"))
        command, options = kept["command"], kept["options"]
    except OptionError as error:
        raise click.BadParameter(str(error), context, option) from error
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise click.BadParameter(
            f"{folder}: holds no {_COMMAND} of a command: it was not begun with --run-dir.",
            context, option,
        ) from cause  # fmt: skip
    if command != name:
        raise click.BadParameter(
            f"{folder}: is a run of {command}: go on with onnx-evoq {command} --resume {folder}.",
            context, option,
        )  # fmt: skip
    context.meta[_RESUMED] = folder
    context.default_map = {**options, **(context.default_map or {})}


RUN_FOLDER = stacked(
    click.option(
        "--run-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep what is found in this new folder as it goes, so that a run which was killed "
        "goes on with --resume; it gets result.json, layers.csv and log.jsonl, too.",
    ),
    click.option(
        "--resume",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=_resume,
        help="Go on with the run of this folder, with the options that it began with; the result "
        "is the same as if it had never ended. The time that it has taken counts.",
    ),
)


def resumed_folder() -> Path | None:
    """The folder of --resume; None without it."""
    context = click.get_current_context(silent=True)
    folder: Path | None = None if context is None else context.meta.get(_RESUMED)
    return folder


def folder_of(run_dir: Path | None) -> Path | None:
    """The folder of the run, new or resumed; a new one keeps the command.

    Args:
        run_dir: a new folder; None if there is none.

    Raises:
        OptionError: the folder holds a run already, or something else.
        StorageError: it cannot be written.
    """
    context = click.get_current_context()
    resumed = resumed_folder()
    if resumed is not None:
        if run_dir is not None:
            raise OptionError("--run-dir begins a run, and --resume goes on with one: give one.")
        return resumed
    if run_dir is None:
        return None
    if about_run(run_dir) is not None:
        raise OptionError(
            f"{run_dir}: holds a run already: go on with --resume {run_dir}, or name another "
            "folder."
        )
    path = run_dir / _COMMAND
    kept = {"command": context.info_name, "options": _given(context)}
    with no_room_for(path):
        run_dir.mkdir(parents=True, exist_ok=True)
        with replacing_file(path, durable=True) as file:
            file.write(json.dumps(kept, indent=1).encode())
    return run_dir


def keep_result(folder: Path | None, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Write the result of a run into its folder, if there is one.

    Args:
        folder: the folder.
        values: of the result, as `to_dict` gives them.

    Returns:
        What a user should read besides: how an interrupted run goes on.
    """
    if folder is None:
        return ()
    write_twins(folder, with_command(values))
    about, name = about_run(folder) or {}, click.get_current_context().info_name
    if about.get("state") != "interrupted":
        return ()
    return (f"the run was interrupted: go on with onnx-evoq {name} --resume {folder}",)


def _given(context: click.Context) -> dict[str, Any]:
    """The options of a command as they were given, with absolute paths."""
    words = context.meta[ARGUMENTS][1:]
    given, _, _ = context.command.make_parser(context).parse_args(list(words))
    every = {**(context.default_map or {}), **given}
    options = {option.name: option for option in context.command.params if option.name}
    return {
        name: _absolute(options[name], value)
        for name, value in every.items()
        if name in options and name not in _NOT_KEPT and value is not None
    }


def _absolute(option: click.Parameter, value: Any) -> Any:
    """The value of an option with absolute paths."""
    if isinstance(value, (list, tuple)):
        return [_absolute(option, each) for each in value]
    if not isinstance(value, str) or value == "-":
        return value
    if isinstance(option.type, click.Path):
        return str(Path(value).absolute())
    if option.name in _PATHS and is_import_path(value):
        file, _, name = value.rpartition(":")
        return f"{Path(file).absolute()}:{name}" if Path(file).exists() else value
    if option.name in _PATHS and Path(value).exists():
        return str(Path(value).absolute())
    return value
