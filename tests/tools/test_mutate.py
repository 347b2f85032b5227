"""Which lines are broken, which tests they meet, and what is printed of them."""

import json
import subprocess
from pathlib import Path

import pytest
from mutant_tests import Name, Outcome, Stage, stages
from mutate import breakable, choose, main, summary

SOURCE = "def area(a, b):\n    return a * b\n\n\ndef larger(a, b):\n    return a if a > b else b\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room of one file: one of its functions is tested, at equal numbers the other."""
    for name, text in {
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n',
        "onnx_evoq/__init__.py": "",
        "onnx_evoq/room/shapes.py": SOURCE,
        "tests/room/test_shapes.py": (
            "from onnx_evoq.room.shapes import area, larger\n\n\n"
            "def test_area():\n    assert area(2, 3) == 6\n    assert larger(2, 2) == 2\n"
        ),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take long to import
    return tmp_path


def test_what_no_test_notices_survives(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Any change of the first line is noticed; of the second, one that returns None only.
    names = [Name("onnx_evoq/room/shapes.py")]
    seed = next(
        seed
        for seed in range(99)
        if [each.new for _, each in choose(project, names, 2, seed)] == ["/", ">="]
    )
    assert main(["--count", "2", "--seed", str(seed), "--json"], project) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["summary"].startswith("1 of 2 caught: 1 by the mirrored test,")
    caught, survivor = printed["mutants"]
    assert (caught["line"], caught["caught"]) == (2, "mirrored")
    assert (survivor["line"], survivor["caught"]) == (6, None)
    assert survivor["after"] == "return a if a >= b else b"
    assert (project / names[0]).read_text() == SOURCE


def test_tests_that_fail_anyway_stop_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests/room/test_shapes.py").write_text("def test_no():\n    assert False\n")
    assert main(["--count", "1"], project) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ("tests/room/test_shapes.py fails with nothing broken: mend it first.\n")


def test_a_seed_draws_the_same_lines_and_each_once(project: Path) -> None:
    names = [Name("onnx_evoq/room/shapes.py")]
    drawn = choose(project, names, 9, seed=4)
    assert [mutant.line for _, mutant in drawn] == [2, 6]
    assert drawn == choose(project, names, 9, seed=4)
    assert len({tuple(choose(project, names, 1, seed)) for seed in range(20)}) > 3


def test_files_can_be_named_by_their_folder(tmp_path: Path) -> None:
    files = [Name(name) for name in ("onnx_evoq/a/b.py", "onnx_evoq/c.py", "tools/d.py")]
    assert breakable(tmp_path, files, None) == files[:2]
    assert breakable(tmp_path, files, [tmp_path / "onnx_evoq" / "a"]) == files[:1]
    assert breakable(tmp_path, files, [tmp_path / "onnx_evoq" / "c.py"]) == files[1:2]


def test_the_closest_tests_come_first_and_none_twice() -> None:
    files = [
        Name("tests") / name
        for name in ("graphs.py", "room/test_a.py", "room/deep/test_b.py", "test_c.py")
    ]
    deep, room, top = "tests/room/deep/test_b.py", "tests/room/test_a.py", "tests/test_c.py"
    suite = ("tests",)
    assert stages(Name("onnx_evoq/room/a.py"), files) == [
        Stage("mirrored", (room,), (room,)),
        Stage("room", (deep,), ("tests/room",)),
        Stage("suite", (top,), suite),
    ]
    assert stages(Name("onnx_evoq/room/deep/b.py"), files) == [
        Stage("mirrored", (deep,), (deep,)),
        Stage("room", (room,), ("tests/room",)),
        Stage("suite", (top,), suite),
    ]
    assert stages(Name("onnx_evoq/room/other/x.py"), files) == [
        Stage("room", (room, deep), ("tests/room",)),
        Stage("suite", (top,), suite),
    ]
    assert stages(Name("onnx_evoq/c.py"), files) == [
        Stage("mirrored", (top,), (top,)),
        Stage("suite", (room, deep), suite),
    ]


def test_the_summary_counts_where_mutants_were_caught() -> None:
    caught = ["mirrored"] * 4 + ["room"] * 2 + ["suite", None]
    outcomes = [Outcome("a.py", 1, "x", "y", each, 0.1) for each in caught]
    assert summary(outcomes) == (
        "7 of 8 caught: 4 by the mirrored test, 2 by the room, 1 by the suite"
    )
