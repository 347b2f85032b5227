"""Draw a front: size against error."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_evoq.errors import OutputError
from onnx_evoq.output_file import write_file
from onnx_evoq.report.search import Search, widths_of
from onnx_evoq.report.tables import metric_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_picture(path: str | Path) -> None:
    """Raise an OutputError unless Matplotlib is there, and draws files of that kind."""
    if _kind(path) not in _figure().canvas.get_supported_filetypes():
        raise OutputError(f"{path}: is no kind of picture that Matplotlib writes: name it .png.")


def _kind(path: str | Path) -> str:
    return Path(path).suffix[1:].lower()


def _figure() -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise OutputError(
            "drawing needs Matplotlib: pip install 'onnx-evoq[report]', or leave --picture out."
        ) from cause
    return Figure(figsize=(7, 4.5), layout="constrained")


def search_picture(search: Search, path: str | Path) -> None:
    """Draw size against error: the front, uniform widths, greedy choices.

    Errors are drawn as logarithms where all of them have one.

    Raises:
        OutputError: Matplotlib is not installed, or the file cannot be written.
    """
    check_picture(path)
    figure = _figure()
    axes = figure.add_subplot()
    rows = (
        ("front", search.front, "o-"), ("uniform widths", search.uniform, "s--"),
        ("greedy by sensitivity", search.greedy, "x:"),
    )  # fmt: skip
    for label, points, style in rows:
        axes.plot(
            [search.bytes_of(p) / 1000 for p in points], [p.heldout for p in points], style,
            label=label,
        )  # fmt: skip
    for point in search.uniform:
        index = (search.bytes_of(point) / 1000, point.heldout)
        axes.annotate(widths_of(point), index, (4, 4), textcoords="offset points")
    if all(point.heldout > 0 for point in (*search.front, *search.uniform, *search.greedy)):
        axes.set_yscale("log")
    axes.set_xlabel(f"kB ({search.size})")
    axes.set_ylabel(f"{metric_label(search.metric)}, held-out samples")
    axes.set_title(Path(search.source).name)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format=_kind(path), dpi=150)
    write_file(path, picture.getvalue())
