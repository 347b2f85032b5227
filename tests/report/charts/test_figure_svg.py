"""Figures of Matplotlib as SVG in a page."""

import sys

import pytest
from shown_results import EVIL, Page

from onnx_evoq.errors import OutputError
from onnx_evoq.report.charts.figure_svg import EVOLVED, INK, check_drawing, drawing, svg_of
from onnx_evoq.report.charts.markup import Markup


def drawn(name: str = "chart", **options: bool) -> Markup:
    pytest.importorskip("matplotlib")
    with drawing(name) as (figure, axes):
        for k in range(2):
            axes.plot([k], [k], "o", color=EVOLVED, gid=f"point-{k}", markeredgecolor=INK)
        axes.set_title(EVIL)
        return svg_of(figure, name, EVIL, **options)


def test_colours_are_those_of_the_page() -> None:
    svg = drawn()
    assert "var(--evolved)" in svg
    assert "currentColor" in svg
    assert "#0" not in svg.replace('href="#', "")


def test_nothing_points_out_of_the_page() -> None:
    svg = drawn()
    assert "http" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_names_do_not_meet_those_of_other_charts() -> None:
    ids = [own["id"] for name, own in Page(drawn("a")).elements if "id" in own]
    assert ids
    assert all(name.startswith("a-") for name in ids)
    used = [own["href"] for name, own in Page(drawn("a")).elements if name == "use"]
    assert all(href.removeprefix("#") in ids for href in used)


def test_texts_and_labels_are_escaped() -> None:
    page = Page(drawn())
    assert page.all("svg")[0]["aria-label"] == EVIL
    assert EVIL in page.text
    assert page.unclosed == []


def test_points_are_buttons_where_asked() -> None:
    points = Page(drawn(points=True)).all("g", role="button")
    assert [(p["data-point"], p["tabindex"]) for p in points] == [("0", "0"), ("1", "0")]
    assert Page(drawn()).all("g", role="button") == []


def test_the_same_figure_gives_the_same_text() -> None:
    assert drawn() == drawn()


def test_settings_of_matplotlib_stay_as_they_are() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    drawn()
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_an_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OutputError, match=r"pip install 'onnx-evoq\[report\]'"):
        check_drawing()


def test_with_matplotlib_a_page_can_be_drawn() -> None:
    pytest.importorskip("matplotlib")
    check_drawing()
