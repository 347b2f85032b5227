"""A histogram of codes as a small SVG picture.

A model has hundreds of layers, and a figure of Matplotlib for each would take megabytes: this one
is two paths, the bars of the codes that were found, and the outline of those of nearest rounding.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_evoq.report.charts.markup import Markup, element

_WIDTH, _HEIGHT = 256, 80
_MOST_BARS = 64


def histogram(codes: Mapping[str, Any]) -> Markup:
    """How often each code is chosen.

    Args:
        codes: {"low": the first code, "counts": of each code, "nearest": likewise of nearest
            rounding}.
    """
    low, every = codes["low"], codes["counts"]
    used, last = sum(count > 0 for count in every), low + len(every) - 1
    label = f"{used} of {len(every)} codes are used, from {low} to {last}"
    counts, nearest = (joined_bars(codes[name]) for name in ("counts", "nearest"))
    most = max(*counts, *nearest, 1)
    return element(
        "figure",
        element(
            "svg",
            element("path", d=_bars(counts, most), class_="bars"),
            element("path", d=_outline(nearest, most), class_="outline"),
            viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label, class_="histogram",
            preserveAspectRatio="none",
        ),
        element("figcaption", f"{label}; the outline is nearest rounding on the same steps."),
    )  # fmt: skip


def joined_bars(counts: Sequence[int]) -> list[int]:
    """Counts of neighbouring codes together, so that there are no more bars than can be seen."""
    width = -(-len(counts) // _MOST_BARS)
    return [sum(counts[start : start + width]) for start in range(0, len(counts), width)]


def _bars(counts: Sequence[int], most: int) -> str:
    width = _WIDTH / len(counts)
    return "".join(
        f"M{k * width + 0.1 * width:.1f} {_HEIGHT}V{_top(count, most)}h{0.8 * width:.1f}V{_HEIGHT}z"
        for k, count in enumerate(counts)
        if count
    )


def _outline(counts: Sequence[int], most: int) -> str:
    width = _WIDTH / len(counts)
    steps = (f"V{_top(count, most)}H{(k + 1) * width:.1f}" for k, count in enumerate(counts))
    return f"M0 {_HEIGHT}" + "".join(steps)


def _top(count: int, most: int) -> str:
    return f"{_HEIGHT * (1 - count / most):.1f}"
