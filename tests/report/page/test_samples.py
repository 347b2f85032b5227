"""Samples whose answer changed."""

from typing import Any

import pytest
from shown_results import EVIL, Page, sample

from onnx_evoq.report.page.samples import samples_section

PICTURE = "data:image/png;base64,AAAA"


def page(rows: list[dict[str, Any]], kind: str = "classes", changed: int | None = 2) -> Page:
    made = samples_section({"kind": kind, "changed": changed, "of": 50, "samples": rows})
    return Page(made or "")


def test_each_sample_says_how_it_is_answered() -> None:
    shown = page([sample(), sample(sample=7, label=2)])
    assert "2 of 50 held-out samples get another answer" in shown.text
    assert "held-out sample 3" in shown.text
    assert "float: class 1, 90 % sure" in shown.text
    assert "now: class 2, 60 % sure" in shown.text
    assert "label: 1, right before, wrong now" in shown.text
    assert "label: 2, wrong before, right now" in shown.text


def test_without_labels_none_are_shown() -> None:
    assert "label" not in page([sample(label=None)]).text
    assert "label: 5, wrong before and now" in page([sample(label=5)]).text


def test_more_samples_than_are_shown_are_counted() -> None:
    assert "; 1 are shown." in page([sample()], changed=9).text
    assert "come first." in page([sample()], changed=1).text


def test_a_picture_is_shown_with_its_name() -> None:
    shown = page([sample(picture=PICTURE, values={})])
    assert shown.all("img") == [{"src": PICTURE, "alt": "held-out sample 3"}]


def test_a_picture_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="not in the page"):
        page([sample(picture="https://example.org/a.png")])


def test_values_are_escaped() -> None:
    shown = page([sample(values={EVIL: EVIL})])
    assert f"{EVIL} = {EVIL}" in shown.text
    assert shown.all("script") == []


def test_where_there_are_no_classes_errors_are_shown() -> None:
    shown = page([{"sample": 4, "values": {}, "error": 0.25}], "values", None)
    assert "these 1 have the largest error" in shown.text
    assert "error: 25 % of its power" in shown.text


def test_without_changes_there_is_no_list() -> None:
    shown = page([], changed=0)
    assert shown.all("ul") == []
    assert samples_section(None) is None
