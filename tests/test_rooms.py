"""Which room may import what: data flows one way."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "onnx_evoq"

PLAIN = {"errors", "signature", "batch", "progress", "user_function"}  # plain data for all rooms

ROOMS = {
    "quantize": set(),
    "search": set(),
    "model": {"quantize"},
    "data": set(),
    "score": set(),
    "run": set(),
    "stages": {"run", "model", "data", "score", "search", "quantize"},
    "report": {"output_file", "stages", "model", "quantize"},
    "api": {"report", "stages", "run", "model", "data", "score", "quantize"},
    "output_file": set(),
    "cli_types": set(),
    "cli": {"api", "cli_types", "output_file", "report", "stages", "run", "model", "score"},
}

LIBRARIES = {
    "quantize": {"numpy"},
    "search": {"numpy"},
    "model": {"numpy", "onnx", "google"},
    "data": {"numpy", "PIL"},
    "score": {"numpy", "onnxruntime"},
    "run": {"tqdm"},
    "stages": {"numpy"},
    "report": {"matplotlib"},
    "api": {"numpy"},
    "output_file": set(),
    "cli_types": {"click"},
    "cli": {"click"},
}


def imported(room: str) -> dict[str, set[str]]:
    """Modules that a room imports, each with the files that do."""
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else []
    found: dict[str, set[str]] = {}
    for file in files or sorted((PACKAGE / room).rglob("*.py")):
        for statement in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(statement, ast.Import):
                names = [alias.name for alias in statement.names]
            elif isinstance(statement, ast.ImportFrom):
                names = [statement.module or ""]
            for name in names:
                found.setdefault(name, set()).add(file.name)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    own = {name: files for name, files in imported(room).items() if name.startswith("onnx_evoq.")}
    for name, files in own.items():
        assert name.split(".")[1] in ROOMS[room] | PLAIN | {room}, (name, files)


@pytest.mark.parametrize("room", LIBRARIES)
def test_a_room_imports_only_its_libraries(room: str) -> None:
    for name, files in imported(room).items():
        top = name.split(".")[0]
        assert top in LIBRARIES[room] | sys.stdlib_module_names | {"onnx_evoq"}, (name, files)


def test_rooms_are_entered_by_their_doors() -> None:
    for room in ROOMS:
        for name, files in imported(room).items():
            parts = name.split(".")
            inside = len(parts) > 2 and parts[0] == "onnx_evoq"
            assert not inside or parts[1] == room, (name, files)


def test_what_a_door_offers_is_used_outside() -> None:
    for room in ("quantize", "search", "model", "data", "score", "stages", "run"):
        outside = [
            file.read_text(encoding="utf-8")
            for file in PACKAGE.rglob("*.py")
            if file.parent.name != room
        ]
        for name in import_module(f"onnx_evoq.{room}").__all__:
            assert any(re.search(rf"\b{name}\b", text) for text in outside), (room, name)


def test_every_folder_is_a_room_and_every_file_is_placed() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert folders | files == set(ROOMS) | PLAIN


def test_plain_data_know_no_room() -> None:
    for module in PLAIN:
        own = {name for name in imported(module) if name.startswith("onnx_evoq.")}
        assert {name.split(".")[1] for name in own} <= PLAIN
