"""Turns a figure of Matplotlib into SVG that stands in a page, in the colours of the page.

A figure is drawn in colours that stand for roles (`INK`, `GRID`, `SERIES`). In the SVG each becomes
a variable of the page's style sheet, which has other values in the dark. Text stays text. Names of
elements get the name of the chart in front, since a page holds several charts.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnx_evoq.errors import OutputError
from onnx_evoq.report.charts.markup import Markup, element

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Roles as colours, and what they are in the page.
INK, GRID = "#010101", "#020202"
NEAREST, START, EVOLVED = "#030303", "#040404", "#050505"
SERIES = (EVOLVED, START, NEAREST, "#060606", "#070707", "#080808")
_IN_PAGE = {
    INK: "currentColor", GRID: "var(--grid)", NEAREST: "var(--nearest)", START: "var(--start)",
    EVOLVED: "var(--evolved)", "#060606": "var(--fourth)", "#070707": "var(--fifth)",
    "#080808": "var(--sixth)",
}  # fmt: skip
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif", "text.color": INK,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": GRID, "grid.linewidth": 0.6, "lines.linewidth": 1.6, "lines.markersize": 5,
    "legend.frameon": False, "axes.axisbelow": True,
}  # fmt: skip
_SIZE = (4.6, 3.2)  # inches
_LEGEND = 40  # characters, up to which a line of a legend has three entries


def check_drawing() -> None:
    """Check that Matplotlib can draw the charts of a page.

    Raises:
        OutputError: it is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as cause:
        raise OutputError(
            "a report needs Matplotlib: pip install 'onnx-evoq[report]', or leave the report out."
        ) from cause


@contextmanager
def drawing(name: str, height: float = _SIZE[1]) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure with axes, to draw into in the colours of roles.

    Args:
        name: of the chart, from which names of its elements follow.
        height: of the figure, in inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(_SIZE[0], height), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=True, which="major")
        yield figure, axes


def legend(figure: "Figure") -> None:
    """Add a legend above the axes, where it hides nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = 3 if sum(map(len, labels)) < _LEGEND else 2
    figure.legend(handles, labels, loc="outside upper left", ncols=columns)


def svg_of(figure: "Figure", name: str, label: str, *, points: bool = False) -> Markup:
    """A figure as an element of a page; `drawing` must not have ended.

    Args:
        figure: the figure.
        name: of the chart.
        label: what it shows, for those who do not see it.
        points: whether groups of the names "point-0", "point-1", .. become buttons.
    """
    written = io.BytesIO()
    unstated = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(written, format="svg", transparent=True, metadata=unstated)
    text = written.getvalue().decode()
    box = re.search(r'viewBox="([^"]*)"', text)
    start, end = text.index(">", text.index("<svg")) + 1, text.rindex("</svg>")
    body = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->",
        "",
        text[start:end],
        flags=re.S,
    )
    body = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", body).replace("xlink:href", "href")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    for color, in_page in _IN_PAGE.items():
        body = body.replace(color, in_page)
    if points:
        body = re.sub(
            rf'<g id="{name}-point-(\d+)"',
            r'<g class="point" tabindex="0" role="button" aria-pressed="false" data-point="\1"'
            r' aria-label="point \1"',
            body,
        )
    return element(
        "svg", Markup(re.sub(r"\n\s*", "\n", body)), viewBox=box and box[1],
        role="group" if points else "img", aria_label=label, class_="chart",
    )  # fmt: skip
