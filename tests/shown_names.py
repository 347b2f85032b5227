"""Sub-commands, tools, options and names that a command or a program shows, yet do not exist."""

import ast
import functools
import inspect
import io
import os
import re
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

import onnx_evoq
from onnx_evoq.cli import main

PROJECT = Path(__file__).parent.parent


def unknown(words: list[str]) -> list[str]:
    """What does not exist of a command of this project: a sub-command, a tool, or options."""
    given = [word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
    if words[0] == "onnx-evoq":
        named = words[1] if len(words) > 1 else ""
        command = main.commands.get(named, main)
        if command is main and named.islower():
            return [named]
        return [option for option in given if option not in options(command)]
    tool = next((word for word in words[:2] if word.startswith("tools/")), None)
    if tool is None:
        return []
    if not (PROJECT / tool).is_file():
        return [tool]
    return [option for option in given if option not in options_of_tool(tool)]


def options(command: click.Command) -> set[str]:
    """The options of a command, in all spellings."""
    context = click.Context(command, **main.context_settings)
    spellings = [
        (*parameter.opts, *parameter.secondary_opts)
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
    ]
    return {option for each in spellings for option in each}


@functools.cache
def help_of(tool: str) -> tuple[object, str]:
    """The exit status of a tool and what it prints, if it is asked for help; within this process.

    The status is None if the tool needs what is not installed here.
    """
    text, status = io.StringIO(), None
    before = sys.argv, sys.path
    sys.argv, sys.path = [str(PROJECT / tool), "--help"], [str(PROJECT / "tools"), *sys.path]
    try:
        with redirect_stdout(text):
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    except ImportError:
        pass
    finally:
        sys.argv, sys.path = before
    return status, text.getvalue()


@functools.cache
def options_of_tool(tool: str) -> set[str]:
    """The options that a tool's help names; its source, if it needs what is not installed here."""
    text = help_of(tool)[1] if tool.endswith(".py") else ""
    text = text or (PROJECT / tool).read_text(encoding="utf-8")
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", text))


def unknown_in_python(text: str) -> list[str]:
    """Names that a program takes from the package, and arguments, that do not exist."""
    tree = list(ast.walk(ast.parse(text)))
    wrong = []
    modules = {
        name.asname or name.name
        for node in tree
        if isinstance(node, ast.Import)
        for name in node.names
        if name.name == "onnx_evoq"
    }
    for node in tree:
        if isinstance(node, ast.ImportFrom) and node.module == "onnx_evoq":
            wrong += [name.name for name in node.names if name.name not in onnx_evoq.__all__]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            wrong += [node.attr] if node.attr not in onnx_evoq.__all__ else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if ast.unparse(node.func.value) in modules and name in onnx_evoq.__all__:
                taken = inspect.signature(getattr(onnx_evoq, name)).parameters
                wrong += [f"{name}({k.arg})" for k in node.keywords if k.arg and k.arg not in taken]
    return wrong


def environment(project: Path) -> dict[str, str]:
    """Where `python` and `onnx-evoq` are this interpreter's, with a project's own package."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": programs, "PYTHONPATH": str(project)}
