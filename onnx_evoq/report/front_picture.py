"""Draw the Pareto front of a search: size against error."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_evoq.errors import OutputError
from onnx_evoq.output_file import write_file
from onnx_evoq.report.search_report import Search, widths_of
from onnx_evoq.report.texts import metric_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_picture(path: str | Path) -> None:
    """Check that Matplotlib can draw a file of this kind, by the end of its name.

    Raises:
        OutputError: Matplotlib is not installed, or it does not write such files.
    """
    if _format(path) not in _figure().canvas.get_supported_filetypes():
        raise OutputError(f"{path}: is no kind of picture that Matplotlib writes: name it .png.")


def _format(path: str | Path) -> str:
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
    """Draw size against error: the Pareto front, uniform widths, and widths by sensitivity.

    The errors have a logarithmic axis where all of them are positive.

    Args:
        search: the search.
        path: the file to write; the end of its name says the format.

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
        place = (search.bytes_of(point) / 1000, point.heldout)
        axes.annotate(widths_of(point), place, (4, 4), textcoords="offset points")
    if all(point.heldout > 0 for point in (*search.front, *search.uniform, *search.greedy)):
        axes.set_yscale("log")
    axes.set_xlabel(f"kB ({search.size})")
    axes.set_ylabel(f"{metric_label(search.metric)}, held-out samples")
    axes.set_title(Path(search.source).name)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format=_format(path), dpi=150)
    write_file(path, picture.getvalue())
