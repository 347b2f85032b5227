"""The page of a result as a whole."""

import re
from typing import Any

import pytest
from shown_results import (
    EVIL,
    Page,
    changed,
    details,
    layer,
    layer_details,
    result_values,
    sample,
    search_values,
    without_charts,
)

from onnx_evoq.report.page import report_page

PICTURE = "data:image/png;base64," + "A" * 16_000
KINDS: list[dict[str, Any]] = [
    result_values(),
    search_values(),
    search_values(optimized=result_values(), stopped="time"),
]
PAGES: dict[int, str] = {}
KEPT = {"classes", "values", "packed", "file", "reconstruction", "floats", "time"}


@pytest.fixture(autouse=True)
def with_matplotlib() -> None:
    pytest.importorskip("matplotlib")


def page_of(kind: int) -> str:
    """The page of one of `KINDS`, which is drawn once."""
    if kind not in PAGES:
        PAGES[kind] = report_page(KINDS[kind])
    return PAGES[kind]


each_kind = pytest.mark.parametrize("kind", range(len(KINDS)))


@each_kind
def test_a_page_is_whole_and_loads_nothing(kind: int) -> None:
    html = page_of(kind)
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert page.unclosed == []
    assert re.findall(r"https?:", html) == []
    addresses = [own[key] for _, own in page.elements for key in ("src", "href") if key in own]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert page.all("link") == []
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize("values", KINDS)
def test_all_text_is_escaped(values: dict[str, Any]) -> None:
    evil = changed(values, lambda text: text if text in KEPT else EVIL)
    page = Page(report_page(evil))
    assert len(page.all("script")) == 1
    assert not any("alert" in script for script in page.scripts)
    assert page.unclosed == []
    assert EVIL in page.text


@each_kind
def test_tables_have_captions_and_scopes(kind: int) -> None:
    page = Page(page_of(kind))
    assert len(page.all("table")) == len(page.all("caption")) > 0
    assert all("scope" in own for own in page.all("th"))
    assert all(own.get("alt") for own in page.all("img"))
    ids = [own["id"] for _, own in page.elements if "id" in own]
    assert len(ids) == len(set(ids))


@each_kind
def test_three_questions_come_first(kind: int) -> None:
    text = Page(page_of(kind)).text
    order = [text.index(each) for each in ("worth it?", "hurts most?", "What next?", "Notes")]
    assert order == sorted(order)


def test_the_scores_have_intervals() -> None:
    text = Page(page_of(0)).text
    assert "Scores on 100 held-out samples, with intervals of 95 % confidence" in text
    assert "94.50 % (80\N{EN DASH}99 %)" in text
    assert "0.02 (0.01\N{EN DASH}0.03)" in text


def test_a_start_that_is_the_result_has_no_row() -> None:
    values = without_charts()
    rows = len(Page(report_page(values)).all("th", scope="row"))
    values["scores"]["start"] = values["scores"]["evolved"]
    assert len(Page(report_page(values)).all("th", scope="row")) == rows - 1


def test_without_details_the_page_has_the_scores_alone() -> None:
    values = result_values(stopped="time")
    for key in ("details", "history", "command"):
        del values[key]
    page = Page(report_page(values))
    assert "90.00 %" in page.text
    assert "intervals" not in page.text
    assert "not recorded" in page.text
    assert ", ended by the time budget" in page.text
    assert page.all("img") == page.all("li", id="samples") == []


def test_notes_commands_and_hashes_are_shown() -> None:
    text = Page(
        report_page(result_values(history=[], details=details(notes=["no runs."], depth=[])))
    ).text
    for shown in (
        "Give more samples.", "No runs.", "onnx-evoq optimize folder/net.onnx --bits 4",
        "a" * 64, "b" * 64, "python 3.11, onnx-evoq 0.1.0", "300 select, 100 are held out",
    ):  # fmt: skip
        assert shown in text
    assert "There are none." in Page(report_page(without_charts(notes=[]))).text


def test_the_title_names_the_model_and_its_widths() -> None:
    assert "net.onnx at 4 bits" in page_of(0)
    layers = [layer("w1", 2), layer("w2", [3, 5])]
    assert "net.onnx at 2 to 3-5 bits" in report_page(without_charts(layers=layers))


def test_the_page_of_a_large_model_is_below_2_mb() -> None:
    names = [f"a/rather/long/name/of/layer.{k}.weight" for k in range(1000)]
    codes = {"low": -128, "counts": [999] * 256, "nearest": [998] * 256}
    of_layers = {name: {**layer_details(0.1, name[:-7]), "codes": codes} for name in names}
    depth = [{"weight": n, "nearest": 0.1, "start": 0.02, "evolved": 0.01} for n in names]
    samples = [sample(picture=PICTURE) for _ in range(24)]
    answers = {
        "kind": "classes", "changed": 24, "of": 100, "low": 0.1, "high": 0.3, "samples": samples,
    }  # fmt: skip
    moment = {"stage": "evolving", "layer": names[0], "done": 1, "total": 2}
    history = [{**moment, "seconds": k, "best": 1 / (k + 1), "evaluations": k} for k in range(2000)]
    values = result_values(
        layers=[layer(name, 8) for name in names], history=history,
        details=details(layers=of_layers, depth=depth, answers=answers),
    )  # fmt: skip
    assert len(report_page(values).encode()) < 2_000_000


def test_a_note_begins_with_a_capital_but_for_names() -> None:
    values = without_charts(notes=["give more.", "a/calib.npz: is small.", "'x' is odd."])
    items = Page(report_page(values)).text
    assert "Give more." in items
    assert "a/calib.npz: is small." in items
    assert "'x' is odd." in items
