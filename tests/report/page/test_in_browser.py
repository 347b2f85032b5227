"""A page in a browser: nothing fails, tables sort, points are picked, at any width and colour."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, chromium
from shown_results import result_values, search_values

from onnx_evoq.report.page import report_page

FIRST_ROWS = (
    "[...document.querySelectorAll('#layers tbody tr')].map((row) => row.cells[1].innerText)"
)
LAYER_HEADS = "document.querySelectorAll('#layers thead button')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    pytest.importorskip("matplotlib")
    if chromium() is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with Browser() as opened:
        yield opened
        assert opened.complaints == []


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a search that optimized a point, which has all parts."""
    pytest.importorskip("matplotlib")
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(report_page(search_values(optimized=result_values())), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_fits_and_has_the_colours_that_are_asked_for(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    back = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (int(back.removeprefix("rgb(").split(",")[0]) < 100) is dark
    charts = "[...document.querySelectorAll('.chart')].map((c) => c.getBoundingClientRect().width)"
    assert all(200 < each < width for each in browser.run(charts))
    assert browser.picture(100).startswith(b"\x89PNG")


def test_a_head_sorts_by_click_and_by_key(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert browser.run(FIRST_ROWS) == ["1", "2"]
    sensitivity = f"[...{LAYER_HEADS}].find((head) => head.innerText.startsWith('sensitivity'))"
    head = f"{sensitivity}.closest('th').getAttribute('aria-sort')"
    browser.run(f"{sensitivity}.click()")
    assert (browser.run(FIRST_ROWS), browser.run(head)) == (["1", "2"], "ascending")
    browser.run(f"{sensitivity}.click()")
    assert (browser.run(FIRST_ROWS), browser.run(head)) == (["2", "1"], "descending")
    browser.run(f"{LAYER_HEADS}[1].focus()")
    browser.press("Enter")
    assert (browser.run(FIRST_ROWS), browser.run(head)) == (["1", "2"], None)


def test_what_is_not_known_comes_last(browser: Browser, tmp_path: Path) -> None:
    values = result_values()
    values["details"]["layers"]["w1"]["sensitivity"] = None
    path = tmp_path / "page.html"
    path.write_text(report_page(values), encoding="utf-8")
    browser.open(path, 1280)
    for _ in range(2):
        browser.run(f"{LAYER_HEADS}[8].click()")
        assert browser.run(FIRST_ROWS) == ["2", "1"]


def picked(browser: Browser) -> tuple[str, list[str]]:
    """The point that is picked, and the commands that are shown."""
    shown = "[...document.querySelectorAll('[data-command]')].filter((each) => !each.hidden)"
    commands = browser.run(f"{shown}.map((each) => each.querySelector('code').innerText)")
    return browser.run("document.getElementById('picked').innerText"), commands


def test_a_point_is_picked_by_click_and_by_key(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert picked(browser)[0] == "point 2"
    point = "document.querySelector('.chart .point[data-point=\"{}\"]')"
    browser.run(f"{point.format(2)}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    name, (command,) = picked(browser)
    assert name == "point 3"
    assert json.loads(command.splitlines()[1])["bits"] == {"w1": 8, "w2": 8}
    browser.run(f"{point.format(0)}.focus()")
    browser.press("Enter")
    assert picked(browser)[0] == "point 1"
    browser.run(f"{point.format(1)}.focus()")
    browser.press(" ")
    assert picked(browser)[0] == "point 2"
    browser.run("document.querySelectorAll('button.pick')[2].focus()")
    browser.press("Enter")
    assert picked(browser)[0] == "point 3"
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map((p) => p.dataset.point)"
    assert browser.run(pressed) == ["2", "2"]


def test_a_command_is_copied(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    browser.run("document.querySelector('#notes button.copy').focus()")
    browser.press("Enter")
    said = "new Promise((done) => setTimeout(done, 100))"
    browser.run(said)
    for _ in range(50):
        text = browser.run("document.querySelector('#notes button.copy').innerText")
        if text != "Copy":
            break
    assert text in ("Copied", "Selected")


def test_a_name_opens_its_histogram(browser: Browser, page: Path) -> None:
    browser.open(page, 400)
    seen = "document.querySelector('#layers figure').checkVisibility()"
    assert browser.run(seen) is False
    browser.run("document.querySelector('#layers summary').focus()")
    browser.press("Enter")
    assert browser.run(seen) is True
