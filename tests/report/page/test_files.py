"""The files of a result."""

import json
from pathlib import Path
from typing import Any

import pytest
from shown_results import result_values, search_values, without_charts

from onnx_evoq.errors import OutputError
from onnx_evoq.report.page.files import page_of_file, read_result, write_twins


@pytest.mark.parametrize("values", [result_values(), search_values()])
def test_twins_are_read_again(tmp_path: Path, values: dict[str, Any]) -> None:
    write_twins(tmp_path, values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.csv", "result.json"]
    assert read_result(tmp_path) == read_result(tmp_path / "result.json") == values


def test_a_page_and_a_table_are_made_of_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_twins(tmp_path, without_charts())
    page, table = page_of_file(tmp_path)
    assert "net.onnx at 4 bits" in page
    assert table == (tmp_path / "layers.csv").read_text()


def test_the_page_of_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_twins(tmp_path, without_charts())
    assert "<p>It goes on.</p></header>" in page_of_file(tmp_path, "it goes on.")[0]
    assert "<p></p>" not in page_of_file(tmp_path)[0]


def test_a_policy_that_was_optimized_is_a_result(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = {"words": ["onnx-evoq", "search"], "data": [], "optimize": []}
    optimized = without_charts(bits=None)
    values = {"chosen": {}, "optimized": optimized, "notes": ["more."], "command": command}
    write_twins(tmp_path, values)
    read = read_result(tmp_path)
    assert read["layers"] == optimized["layers"]
    assert (read["notes"], read["command"]) == (["more."], command)
    assert "net.onnx at 4 bits" in page_of_file(tmp_path)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no result of optimize or search"),
        ('{"model": "m"}', "is no result of optimize or search"),
        ('{"optimized": 3}', "is no result of optimize or search"),
        ('"a"', "is no result of optimize or search"),
    ],
)
def test_something_else_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "result.json"
    file.write_text(content)
    for path in (file, tmp_path):
        with pytest.raises(OutputError, match=rf"result\.json: {message}"):
            read_result(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OutputError, match="is no JSON"):
        read_result(tmp_path)


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"result\.json: cannot be read \(No such file"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"layers": [{}]}, {"scores": {}}, {"layers": 5}, {"details": {"layers": [1]}}]
)
def test_a_result_that_is_not_complete_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "a.json").write_text(json.dumps(result_values(**changes)))
    with pytest.raises(OutputError, match=r"a\.json: holds a result that is not complete"):
        page_of_file(tmp_path / "a.json")
