"""Which room may import what: rooms hang in one chain, and data flow one way."""

import ast
import functools
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "onnx_evoq"
TOOLS = PACKAGE.parent / "tools"

# Plain data and small tools for all rooms.
PLAIN = {
    "array_blocks", "array_types", "batch", "command_start", "errors", "freed_memory",
    "output_file", "outputs_by_sample", "parallel", "progress", "shortened",
    "signature", "temporary_folder", "user_function",
}  # fmt: skip

# The ground: what each room may import of the others.
GROUND = {
    "run": set(),
    "executors": {"run"},
    "search": set(),
    "quantize": {"executors"},
    "metrics": set(),
    "data": set(),
    "record": {"run"},
    "model": {"quantize"},
    "targets": {"quantize"},
    "score": {"metrics", "executors"},
}

# The chain: each room may import all that stand before it, and the ground.
CHAIN = [
    "setup", "engine", "activations", "reconstruct", "evolve", "pipeline", "mixed_precision",
    "report", "api", "drop_in", "cli",
]  # fmt: skip

# Rooms within rooms: each may import those before it.
INNER = {
    "quantize": ["weights", "grid", "rows", "moments", "closed_form", "scales", "formats"],
    "data": ["preprocess", "reading", "synthetic"],
    "executors": ["tasks"],
    "engine": ["cuts", "samples", "frontier"],
    "model": [
        "tensors", "graph", "files", "weights", "inputs", "constants", "outputs", "inside", "cuts",
        "products", "emission", "layers", "channels", "splitting", "integer", "qonnx", "c_header",
        "emitted",
    ],
    "reconstruct": ["equalization"],
    "evolve": ["network_codes"],
    "pipeline": ["emission"],
    "score": ["racing"],
    "setup": ["options", "sessions", "axes", "ranges", "synthetic", "scoring"],
    "mixed_precision": ["search_space", "layer_table"],
    "report": ["texts", "results", "charts", "page"],
    "api": ["job", "evaluation", "details"],
    "cli": ["options", "process"],
}  # fmt: skip

ROOMS = {
    **GROUND,
    **{room: {*GROUND, *CHAIN[:index]} for index, room in enumerate(CHAIN)},
}


LIBRARIES = {
    **{room: {"numpy"} for room in ROOMS},
    "model": {"numpy", "onnx", "google"},
    "data": {"numpy", "PIL"},
    "score": {"numpy", "onnxruntime"},
    "executors": {"numpy", "distributed"},
    "record": {"numpy"},
    "report": {"numpy", "matplotlib"},
    "cli": {"click"},
}

PLAIN_LIBRARIES = {
    **{file: {"numpy"} for file in PLAIN},
    "parallel": {"threadpoolctl"},
}

MOST_LINES = {"room": 1300, "file": 300}


@functools.cache
def imports_of(file: Path) -> set[str]:
    """Modules that a file imports."""
    names = set()
    for statement in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            names.add(statement.module or "")
    return names


def imported(room: str) -> dict[str, set[str]]:
    """Modules that a room imports, each with the files that do."""
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else []
    found: dict[str, set[str]] = {}
    for file in files or sorted((PACKAGE / room).rglob("*.py")):
        for name in imports_of(file):
            found.setdefault(name, set()).add(file.name)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    own = {name: files for name, files in imported(room).items() if name.startswith("onnx_evoq.")}
    for name, files in own.items():
        assert name.split(".")[1] in ROOMS[room] | PLAIN | {room}, (name, files)


@pytest.mark.parametrize("room", INNER)
def test_an_inner_room_imports_only_those_before_it(room: str) -> None:
    for index, inner in enumerate(INNER[room]):
        for file in (PACKAGE / room / inner).glob("*.py"):
            for name in imports_of(file):
                if name.startswith(f"onnx_evoq.{room}."):
                    assert name.split(".")[2] in INNER[room][: index + 1], (name, file)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_its_libraries(room: str) -> None:
    for name, files in imported(room).items():
        top = name.split(".")[0]
        assert top in LIBRARIES[room] | sys.stdlib_module_names | {"onnx_evoq"}, (name, files)


def test_one_file_imports_the_tool_that_places_integers() -> None:
    files = [
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if any(name.startswith("onnxruntime.quantization") for name in imports_of(file))
    ]
    assert files == ["score/integer_graph.py"]


@pytest.mark.parametrize("file", sorted(PLAIN))
def test_a_plain_file_imports_only_its_libraries(file: str) -> None:
    tops = {name.split(".")[0] for name in imported(file)}
    assert tops <= PLAIN_LIBRARIES[file] | sys.stdlib_module_names | {"onnx_evoq"}


def test_rooms_are_entered_by_their_doors() -> None:
    for file in PACKAGE.rglob("*.py"):
        own = file.relative_to(PACKAGE).parent.parts
        for name in imports_of(file):
            parts = tuple(name.split(".")[1:])
            if name.startswith("onnx_evoq.") and len(parts) > 1:
                # A file of the own room, or the door of a room in the same house.
                inside = parts[:-1] == own or parts == own
                assert inside or (own and parts[0] == own[0] and len(parts) == 2), (name, file)


def doors() -> list[str]:
    return sorted(
        ".".join(file.relative_to(PACKAGE).parent.parts)
        for file in PACKAGE.rglob("__init__.py")
        if file.parent != PACKAGE
    )


@functools.cache
def words_of(file: Path) -> set[str]:
    """Words of a file's text, comments included."""
    return set(re.findall(r"\w+", file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("room", doors())
def test_what_a_door_offers_is_used_outside(room: str) -> None:
    folder = PACKAGE / room.replace(".", "/")
    outside = [
        words_of(file)
        for file in [*PACKAGE.rglob("*.py"), *TOOLS.glob("*.py")]
        if not file.is_relative_to(folder)
    ]
    for name in import_module(f"onnx_evoq.{room}").__all__:
        assert any(name in words for words in outside), (room, name)


def test_every_folder_is_a_room_and_every_file_is_placed() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert folders | files == set(ROOMS) | PLAIN


def test_plain_data_know_no_room() -> None:
    for module in PLAIN:
        own = {name for name in imported(module) if name.startswith("onnx_evoq.")}
        assert {name.split(".")[1] for name in own} <= PLAIN


def test_no_room_and_no_file_is_too_large() -> None:
    for folder in {file.parent for file in PACKAGE.rglob("*.py")}:
        lines = {f: len(f.read_text(encoding="utf-8").splitlines()) for f in folder.glob("*.py")}
        assert sum(lines.values()) <= MOST_LINES["room"], (folder, sum(lines.values()))
        assert max(lines.values()) <= MOST_LINES["file"], lines


def test_each_file_has_its_tests() -> None:
    tests = Path(__file__).parent
    doors_alone = {"__init__", "__main__"}
    for file in PACKAGE.rglob("*.py"):
        own = file.relative_to(PACKAGE)
        mirror = tests / own.parent / f"test_{own.stem}.py"
        assert own.stem in doors_alone or mirror.exists(), own
