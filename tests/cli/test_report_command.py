"""The command report."""

import json
import sys
from pathlib import Path

import pytest
from commands import error_of, invoke
from shown_results import search_values, without_charts

from onnx_evoq.report import write_twins


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run."""
    pytest.importorskip("matplotlib")
    write_twins(tmp_path, without_charts())
    return tmp_path


def test_a_folder_gets_its_page(folder: Path) -> None:
    invoke("report", folder)
    assert "net.onnx at 4 bits" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_file_gets_a_page_and_a_table_where_the_user_says(folder: Path) -> None:
    (folder / "s.json").write_text(json.dumps(search_values(optimized=without_charts())))
    page, table = folder / "a.html", folder / "a.csv"
    invoke("report", folder / "s.json", "-o", page, "--layers", table)
    assert "Size against error" in page.read_text(encoding="utf-8")
    assert table.read_text() == (folder / "layers.csv").read_text()
    assert not (folder / "report.html").exists()


def test_a_page_may_go_to_standard_output(folder: Path) -> None:
    invoke("report", folder)
    page = (folder / "report.html").read_bytes()
    assert invoke("report", folder, "-o", "-").stdout_bytes == page


def test_something_else_is_refused_in_one_line(folder: Path) -> None:
    (folder / "other.json").write_text('{"a": 1}')
    line = error_of("report", folder / "other.json")
    assert "other.json: is no result of optimize or search: give what they print" in line
    (folder / "text.json").write_text("hello")
    assert "text.json: is no JSON" in error_of("report", folder / "text.json")
    (folder / "empty").mkdir()
    assert "result.json: cannot be read" in error_of("report", folder / "empty")


def test_a_result_is_not_written_over(folder: Path) -> None:
    result = folder / "result.json"
    before = result.read_bytes()
    for options in (["-o", result], ["--layers", result]):
        assert "is the result itself" in error_of("report", result, *options)
    page = folder / "a.html"
    line = error_of("report", result, "-o", page, "--layers", page)
    assert "the page goes there, too" in line
    assert result.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(folder: Path) -> None:
    assert "cannot be written" in error_of("report", folder, "-o", folder / "no" / "a.html")


def test_without_matplotlib_an_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_twins(tmp_path, without_charts())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'onnx-evoq[report]'" in error_of("report", tmp_path)
