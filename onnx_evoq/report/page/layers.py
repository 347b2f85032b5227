"""The part of a page on layers: the errors through depth, and the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_evoq.report.charts import (
    Markup,
    cell,
    data_table,
    depth_chart,
    element,
    histogram,
    sensitivity_chart,
)
from onnx_evoq.report.page.layer_rows import LayerRow
from onnx_evoq.report.texts import DASH, duration, percent, plain, step_text

_HEADER = (
    "layer", "no.", "op", "shape", "bits", "step", "computes on", "SQNR, dB", "sensitivity",
    "error, nearest", "error, now", "codes moved", "time",
)  # fmt: skip
_EXPLAINED = (
    ("SQNR", "signal to noise of the weight itself, beside the float weight."),
    ("sensitivity", "error of the outputs (share of their power) with only this layer rounded."),
    ("error", "of the layer's output, as a share of its power, with all layers quantized."),
    ("codes moved", "share of codes that nearest rounding on the same steps chooses otherwise."),
)  # fmt: skip
_HISTOGRAMS = 200  # of the first layers, so that the page of a large model stays small
_THROUGH = (
    "Relative error behind each layer, with all layers quantized, on a few held-out samples. Where "
    "a line rises, errors come in; where it falls, later layers make up for them."
)
_ALONE = (
    "Relative error of the outputs with one layer alone rounded to the nearest. Layers that stand "
    "out are worth more bits."
)


def layers_section(values: Mapping[str, Any], rows: Sequence[LayerRow], last: str) -> Markup:
    """The chart of errors, and the table of layers.

    Args:
        values: of an optimized model.
        rows: its layers.
        last: the label of the last model.
    """
    known = [(k, row.sensitivity) for k, row in enumerate(rows, 1)]
    of_layers = sensitivity_chart([(k, value) for k, value in known if value is not None])
    through = depth_chart((values.get("details") or {}).get("depth") or [], last)
    if through is None and of_layers is None:
        charts = element("p", "Errors of layers were not measured: run it again with --report.")
    else:
        charts = element(
            "div", _titled("Error through depth", _THROUGH, through),
            _titled("Sensitivity", _ALONE, of_layers), class_="beside",
        )  # fmt: skip
    timed = any(row.seconds is not None for row in rows)
    columns = len(_HEADER) if timed else len(_HEADER) - 1
    explained = [e for name, text in _EXPLAINED for e in (element("dt", name), element("dd", text))]
    return element(
        "section",
        element("h2", "Layers"),
        charts,
        element("h3", "All layers"),
        data_table(
            "Layers; a head sorts by its column, and a name opens the histogram of codes",
            _HEADER[:columns],
            [_row(k, row, k <= _HISTOGRAMS)[:columns] for k, row in enumerate(rows, 1)],
            sortable=True,
        ),
        element("dl", *explained, class_="legend"),
        id="layers",
    )  # fmt: skip


def _titled(title: str, text: str, chart: Markup | None) -> Markup | None:
    if chart is None:
        return None
    return element("div", element("h3", title), chart, element("p", text, class_="soft"))


def _row(number: int, row: LayerRow, shown: bool) -> list[Any]:
    shape = "-" if row.shape is None else "x".join(map(str, row.shape))
    entries = 0 if row.shape is None else _product(row.shape)
    low = int(row.bits.split("-")[0])
    return [
        _name(row, shown),
        cell(number, number),
        cell(row.op or "-", row.op or ""),
        cell(shape, entries),
        cell(row.bits.replace("-", DASH), low),
        cell("-" if row.steps is None else step_text(row.steps), row.steps and row.steps[0]),
        cell(row.on or "-", row.on or ""),
        cell(plain(row.sqnr), row.sqnr),
        cell(percent(row.sensitivity), row.sensitivity),
        cell(percent(row.errors["nearest"]), row.errors["nearest"]),
        cell(percent(row.errors["evolved"]), row.errors["evolved"]),
        cell(percent(row.moved), row.moved),
        cell("-" if row.seconds is None else duration(row.seconds), row.seconds),
    ]


def _name(row: LayerRow, shown: bool) -> Markup:
    """The name of a layer, which opens its histogram if that is shown."""
    weight = None if row.label == row.weight else element("small", row.weight)
    if row.codes is None or not shown:
        return element("div", row.label, weight)
    return element("details", element("summary", row.label), weight, histogram(row.codes))


def _product(shape: Sequence[int]) -> int:
    entries = 1
    for length in shape:
        entries *= length
    return entries
