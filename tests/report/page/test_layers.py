"""The part of a page on layers."""

import pytest
from shown_results import EVIL, Page, changed, result_values

from onnx_evoq.report.page import layers
from onnx_evoq.report.page.layer_rows import layer_rows
from onnx_evoq.report.page.layers import layers_section


@pytest.fixture(autouse=True)
def with_matplotlib() -> None:
    pytest.importorskip("matplotlib")


def page(**changes: object) -> Page:
    values = result_values(**changes)
    return Page(layers_section(values, layer_rows(values), "evolved"))


def test_all_layers_have_a_row_of_numbers_that_sort() -> None:
    shown = page()
    assert [own["data-sort"] for own in shown.all("td") if "data-sort" in own][:4] == [
        "1", "Conv", "216", "4",
    ]  # fmt: skip
    assert len(shown.all("th", scope="row")) == 2
    assert {"conv1", "conv2", "w1", "30 %", "12.5 %", "15.2", "2^-4"} <= set(words(shown))


def words(shown: Page) -> set[str]:
    html = shown.text
    for mark in ("conv1", "conv2", "w1", "30 %", "12.5 %", "15.2", "2^-4"):
        html = html.replace(mark, f"\n{mark}\n")
    return set(html.splitlines())


def test_a_name_opens_the_histogram_of_codes() -> None:
    assert len(page().all("details")) == 2
    assert len(page().all("svg", role="img")) == 4


def test_histograms_end_where_a_page_would_be_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_HISTOGRAMS", 1)
    assert len(page().all("details")) == 1


def test_the_time_is_left_out_where_it_is_not_known() -> None:
    assert "time" in page().text
    assert len(page(history=[]).all("th", scope="col")) == len(page().all("th", scope="col")) - 1


def test_without_details_a_sentence_says_how_to_get_them() -> None:
    values = result_values()
    del values["details"]
    shown = Page(layers_section(values, layer_rows(values), "evolved"))
    assert "run it again with --report" in shown.text
    assert len(shown.all("tr")) == 3
    assert shown.all("svg") == []


def test_names_are_escaped() -> None:
    values = result_values()
    values["details"]["layers"] = changed(values["details"]["layers"], lambda text: EVIL)
    shown = Page(layers_section(values, layer_rows(values), EVIL))
    assert shown.all("script") == []
    assert EVIL in shown.text
