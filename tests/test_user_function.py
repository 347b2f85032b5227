"""A user's function, found by its name."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.user_function import is_import_path, load_function, messages_apart


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; modules and search paths are put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("package.module:function", True),
        ("reader.py:feeds", True),
        ("/some/where/reader.py:feeds", True),
        (r"C:\work\reader.py:feeds", True),
        (r"C:\work\data.npz", False),
        ("C:/work/data.npz", False),
        ("D:\\", False),
        ("data.npz", False),
        (":feeds", False),
        ("module:", False),
        ("module:two words", False),
        ("", False),
    ],
)
def test_a_reference_has_a_colon_before_a_name(text: str, expected: bool) -> None:
    assert is_import_path(text) is expected


def test_function_of_an_installed_module_is_found() -> None:
    assert load_function("os.path:basename", DataError)("a/b") == "b"


def test_modules_are_looked_up_in_the_working_directory(folder: Path) -> None:
    package = folder / "evoq_own"
    package.mkdir()
    (package / "metrics.py").write_text("def one():\n    return 1\n")
    assert load_function("evoq_own.metrics:one", DataError)() == 1


def test_function_of_a_file_is_found_wherever_it_lies(folder: Path) -> None:
    path = folder / "deep" / "evoq_reader.py"
    path.parent.mkdir()
    path.write_text("def two():\n    return 2\n")
    assert load_function(f"{path}:two", DataError)() == 2
    assert load_function("deep/evoq_reader.py:two", DataError)() == 2


def test_the_working_directory_is_searched_once(folder: Path) -> None:
    (folder / "evoq_first.py").write_text("def f():\n    return 1\n")
    sys.path[:] = [path for path in sys.path if path not in ("", str(folder))]
    load_function("evoq_first:f", DataError)
    load_function("evoq_first:f", DataError)
    assert sys.path[0] == str(folder)
    assert sys.path.count(str(folder)) == 1


def test_any_callable_will_do(folder: Path) -> None:
    (folder / "evoq_class.py").write_text("class Reader:\n    size = 3\n")
    assert load_function("evoq_class.py:Reader", DataError)().size == 3


def test_file_named_like_a_known_module_leaves_that_alone(folder: Path) -> None:
    import json

    (folder / "json.py").write_text("def four():\n    return 4\n")
    assert load_function("json.py:four", DataError)() == 4
    assert sys.modules["json"] is json


def test_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"'none\.py:f' cannot be imported: .*no such file: none"):
        load_function("none.py:f", DataError)


def test_missing_module_is_named() -> None:
    with pytest.raises(MetricError, match="'evoq_none:f' cannot be imported: ModuleNotFoundError"):
        load_function("evoq_none:f", MetricError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('no licence')", "ValueError: no licence"),
        ("import evoq_none", "ModuleNotFoundError: No module named 'evoq_none'"),
        ("raise SystemExit('usage')", "SystemExit: usage"),
        ("def f(:", "SyntaxError: "),
    ],
)
def test_error_of_an_import_is_quoted(folder: Path, text: str, message: str) -> None:
    (folder / "evoq_broken.py").write_text(text)
    with pytest.raises(DataError, match=f"'evoq_broken.py:f' cannot be imported: {message}"):
        load_function("evoq_broken.py:f", DataError)


@pytest.mark.parametrize("name", ["missing", "number"])
def test_a_name_that_is_no_function_is_an_error(folder: Path, name: str) -> None:
    (folder / "evoq_values.py").write_text("number = 3\n")
    with pytest.raises(
        DataError, match=rf"'evoq_values\.py' has no function named '{name}': check the part after"
    ):
        load_function(f"evoq_values.py:{name}", DataError)


def test_what_several_threads_print_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stdout = sys.stdout
    with ThreadPoolExecutor(3) as pool, messages_apart():
        barrier = Barrier(3)

        def work(index: int) -> None:
            with messages_apart():
                barrier.wait()
                print(f"in {index}")

        list(pool.map(work, range(3)))
        print("between")
    assert sys.stdout is stdout
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(err.split("\n")) == ["", "between", "in 0", "in 1", "in 2"]


def test_what_a_module_prints_when_it_is_imported_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loud.py").write_text("print('imported')\ndef read(): return 1")
    assert load_function(f"{tmp_path}/loud.py:read", DataError)() == 1
    assert capsys.readouterr() == ("", "imported\n")
