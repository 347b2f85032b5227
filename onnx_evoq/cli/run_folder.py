"""The options --run-dir and --resume: a folder that keeps a run, and its command.

`command.json` in the folder holds the options of the command as they were given, with absolute
paths. On --resume they are the defaults of all options, so that the folder is all that is needed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.options import stacked
from onnx_evoq.cli.process import ARGUMENTS
from onnx_evoq.cli.report_file import with_command
from onnx_evoq.errors import ClusterError, OptionError
from onnx_evoq.record import (
    RUN_FILE,
    about_run,
    checked_text,
    new_folder_of_a_run,
    read_object,
    replacing_file,
    unchanged,
)
from onnx_evoq.report import RESULT, write_twins
from onnx_evoq.user_function import is_import_path

_COMMAND = "command.json"
_RESUMED = "onnx_evoq.resumed"  # the key under which the context holds the folder
_NOT_KEPT = {"run_dir", "resume", "config", "quiet", "as_json", "help"}
_PATHS = {"data", "metric"}  # options that may be paths, though their types do not say so


def _resume(context: click.Context, option: click.Parameter, folder: Path | None) -> None:
    """Take the options of the command that began a run as defaults."""
    if folder is None:
        return
    try:
        context.default_map = {**_begun_with(folder, context), **(context.default_map or {})}
    except OptionError as error:
        raise click.BadParameter(str(error), context, option) from error
    context.meta[_RESUMED] = folder


def _begun_with(folder: Path, context: click.Context) -> dict[str, Any]:
    """The options that a run began with.

    Raises:
        OptionError: the folder holds no run of this command, or a file that it reads is gone.
    """
    if not (folder / RUN_FILE).is_file():
        raise OptionError(
            f"{folder}: holds no run (there is no {RUN_FILE}): name the folder that a run was "
            "begun in with --run-dir."
        )
    about_run(folder)
    path, name = folder / _COMMAND, context.info_name
    try:
        kept = unchanged(path, read_object(path))
    except OSError as cause:
        raise OptionError(
            f"{path}: cannot be read ({cause.strerror}): only a run that a command began with "
            "--run-dir goes on with --resume; go on with a call of Python, or begin anew in "
            "another folder."
        ) from cause
    if kept["command"] != name:
        raise OptionError(
            f"{folder}: is a run of {kept['command']}: go on with onnx-evoq {kept['command']} "
            f"--resume {folder}."
        )
    options: dict[str, Any] = kept["options"]
    given = _given_now(context)
    for each in context.command.params:
        value = options.get(str(each.name))
        if each.name not in given and _is_gone(each, value):
            now = "NEW" if isinstance(each, click.Argument) else f"{each.opts[0]} NEW"
            raise OptionError(
                f"{value}: is not there any more: say where it is now (onnx-evoq {name} {now} "
                f"--resume {folder})."
            )
    return options


def _is_gone(option: click.Parameter, value: Any) -> bool:
    """Whether an option names a file to read that was there when the run began."""
    reads = option.name in _PATHS or (isinstance(option.type, click.Path) and option.type.exists)
    if not reads or not isinstance(value, str) or not Path(value).is_absolute():
        return False
    return not Path(value.rpartition(":")[0] if is_import_path(value) else value).exists()


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
    kept = {"command": context.info_name, "options": _given(context)}
    with new_folder_of_a_run(run_dir), replacing_file(run_dir / _COMMAND, durable=True) as file:
        file.write(checked_text(kept))
    return run_dir


@contextmanager
def saying_how_to_go_on(folder: Path | None) -> Iterator[None]:
    """Let the error of a cluster that is lost say how its run goes on.

    Args:
        folder: of the run; None if there is none.

    Raises:
        ClusterError: the cluster is lost, or cannot be reached.
    """
    try:
        yield
    except ClusterError as error:
        if folder is None or not (folder / RUN_FILE).is_file():
            raise
        name = click.get_current_context().info_name
        raise ClusterError(
            f"{error} What was found is kept: go on with onnx-evoq {name} --resume {folder}, with "
            "--cluster ADDRESS on another cluster, or --cluster none on this machine alone."
        ) from error


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


def unfinished_run(result: Path) -> str:
    """A sentence on a run that is not finished; empty if it is, or there is no run.

    Args:
        result: the folder of a run of any version, its result, or something else.

    Raises:
        OptionError: it has no result yet.
    """
    folder = result.parent if result.name == RESULT else result
    if not (folder / RUN_FILE).is_file() or not (folder / _COMMAND).is_file():
        return ""
    about, command = (read_object(folder / name) for name in (RUN_FILE, _COMMAND))
    how = {
        "running": "it still runs, was killed, or ended with an error",
        "interrupted": "it was interrupted",
    }
    state = str(about.get("state"))
    if state not in how:
        return ""
    remedy = f"go on with onnx-evoq {command.get('command')} --resume {folder}"
    said = f"the run in {folder} is not finished ({how[state]}): "
    if not (folder / RESULT).is_file():
        raise OptionError(f"{said}there is no result yet: {remedy}.")
    return f"{said}this is what was found before; {remedy}."


def _given(context: click.Context) -> dict[str, Any]:
    """The options of a command as they were given, with absolute paths."""
    every = {**(context.default_map or {}), **_given_now(context)}
    options = {option.name: option for option in context.command.params if option.name}
    return {
        name: _absolute(options[name], value)
        for name, value in every.items()
        if name in options and name not in _NOT_KEPT and value is not None
    }


def _given_now(context: click.Context) -> Mapping[str, Any]:
    """The options that stand on the command line, by name."""
    words = context.meta[ARGUMENTS][1:]
    given, _, _ = context.command.make_parser(context).parse_args(list(words))
    # Of an argument that is missing, click gives None or, since version 8.3, a mark of its own.
    return {n: value for n, value in given.items() if isinstance(value, (str, bool, list, tuple))}


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
