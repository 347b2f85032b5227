"""Tools start, say how they are used, and take public names only from the package."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shown_names import help_of

TOOLS = sorted((Path(__file__).parent.parent / "tools").glob("*.py"))
OPTION = r"(?<![\w-])--?[A-Za-z][\w-]*"

# The page of public names has tests of its own, and needs packages that draw it.
COMMANDS = [
    tool
    for tool in TOOLS
    if "__main__" in tool.read_text(encoding="utf-8") and tool.stem != "api_docs"
]

each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.stem)
each_command = pytest.mark.parametrize("tool", COMMANDS, ids=lambda tool: tool.stem)


@each_command
def test_a_tool_says_how_it_is_used(tool: Path) -> None:
    status, text = help_of(f"tools/{tool.name}")
    assert status == 0
    assert "usage:" in text
    lines = text.replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("    python")]
    assert commands
    options = set(re.findall(OPTION, text.partition("options:")[2]))
    for words in commands:
        assert words[1] == f"tools/{tool.name}"
        assert set(re.findall(OPTION, " ".join(words))) <= options


def test_a_tool_starts_as_a_program() -> None:
    tool = next(tool for tool in COMMANDS if tool.stem == "draw_rooms")
    done = subprocess.run(
        [sys.executable, str(tool), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == help_of(f"tools/{tool.name}")[1].split()


@each_tool
def test_a_tool_enters_rooms_by_their_doors(tool: Path) -> None:
    assert private_names(tool.read_text(encoding="utf-8")) == []


def test_no_tool_is_long() -> None:
    lines = {tool.name: len(tool.read_text(encoding="utf-8").splitlines()) for tool in TOOLS}
    assert max(lines.values()) <= 300, lines


def private_names(source: str) -> list[str]:
    """What a program takes from within a room of the package, and names that are private."""
    return list(_private_names(ast.parse(source)))


def _private_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield from [module] if _within(module) else []
                yield from (f"{module}.{each.name}" for each in names if _private(each.name))
            case ast.Import(names=names):
                yield from (each.name for each in names if _within(each.name))
            case ast.Attribute(value=ast.Name(id="self")):
                pass
            case ast.Attribute(value=ast.Name(id="os"), attr="_exit"):  # which os documents
                pass
            case ast.Attribute(attr=name) if _private(name):
                yield ast.unparse(node)


def _within(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "onnx_evoq" and (len(parts) > 2 or any(map(_private, parts)))


def _private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_what_is_private_is_found() -> None:
    source = """
import onnx_evoq.model.graph
from onnx_evoq import Data
from onnx_evoq.model import load
from onnx_evoq.model.graph import load
from onnx_evoq.score import _DOUBT
from onnx_evoq.batch import (Batch)
evaluator._pool.workers
self._own.__dict__
self._own._other
"""
    assert sorted(private_names(source)) == [
        "evaluator._pool", "onnx_evoq.model.graph", "onnx_evoq.model.graph",
        "onnx_evoq.score._DOUBT", "self._own._other",
    ]  # fmt: skip
