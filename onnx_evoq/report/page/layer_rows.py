"""The layers of a result as rows, for the page and for a CSV file alike."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_evoq.report.texts import seconds_by_layer, width_range

_COLUMNS = (
    "weight", "nodes", "op", "shape", "bits", "step_low", "step_high", "computes_on", "sqnr_db",
    "sensitivity", "error_nearest", "error_start", "error_now", "search_before", "search_after",
    "heldout_before", "heldout_after", "codes_moved", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class LayerRow:
    """One weight of a result; what is not known is None.

    Attributes:
        weight: the name of its initializer.
        nodes: the nodes that read it.
        op: their operator.
        shape: of the weight.
        bits: its width, or the least and the largest of its channels.
        steps: the lowest and the highest step.
        on: "integers" or "floats": what the layer computes on.
        sqnr: signal to noise of the weight, in dB.
        sensitivity: relative error of the outputs with this weight alone rounded to the nearest.
        errors: relative errors behind the layer by model: nearest, start and evolved.
        searched: the metric before and after the search of this weight, as `LayerResult` has it.
        moved: the share of codes that nearest rounding would choose otherwise.
        codes: the histogram of the codes.
        seconds: that the layer took.
    """

    weight: str
    nodes: tuple[str, ...]
    op: str | None
    shape: tuple[int, ...] | None
    bits: str
    steps: tuple[float, float] | None
    on: str | None
    sqnr: float | None
    sensitivity: float | None
    errors: Mapping[str, float | None]
    searched: Mapping[str, Mapping[str, float] | None]
    moved: float | None
    codes: Mapping[str, Any] | None
    seconds: float | None

    @property
    def label(self) -> str:
        """The name that users know: that of its first node, or of the weight."""
        return next(filter(None, self.nodes), self.weight)


def layer_rows(values: Mapping[str, Any]) -> list[LayerRow]:
    """The rows of a result, in the graph's order where that is known.

    Args:
        values: of an optimized model, as `Result.to_dict` gives them.
    """
    details = values.get("details") or {}
    of_layers, depth = details.get("layers") or {}, details.get("depth") or []
    errors = {row["weight"]: row for row in depth}
    spent = seconds_by_layer(values.get("history") or [])
    results = {layer["name"]: layer for layer in values["layers"]}
    order = [name for name in of_layers if name in results]
    rows = []
    for name in [*order, *(name for name in results if name not in of_layers)]:
        layer, more = results[name], of_layers.get(name, {})
        bits = layer["bits"]
        rows.append(
            LayerRow(
                weight=name,
                nodes=tuple(more.get("nodes", ())),
                op=more.get("op"),
                shape=tuple(more["shape"]) if "shape" in more else None,
                bits=width_range(bits if isinstance(bits, int) else tuple(bits)),
                steps=tuple(more["steps"]) if "steps" in more else _steps(layer["frac_bits"]),
                on=more.get("on"),
                sqnr=more.get("sqnr"),
                sensitivity=more.get("sensitivity"),
                errors={m: errors.get(name, {}).get(m) for m in ("nearest", "start", "evolved")},
                searched={when: layer.get(when) for when in ("before", "after")},
                moved=more.get("moved"),
                codes=more.get("codes"),
                seconds=spent.get(name),
            )
        )
    return rows


def _steps(frac_bits: int | Sequence[int] | None) -> tuple[float, float] | None:
    if frac_bits is None or frac_bits == []:
        return None
    of_channels = [frac_bits] if isinstance(frac_bits, int) else frac_bits
    return 2.0 ** -max(of_channels), 2.0 ** -min(of_channels)


def layers_csv(values: Mapping[str, Any]) -> str:
    """The layers of a result as CSV, with a header; numbers as they are, and empty where unknown.

    Args:
        values: of an optimized model, or of a search that optimized one.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    optimized = values if "layers" in values else values.get("optimized")
    for row in layer_rows(optimized) if optimized else []:
        searched = [
            None if (at := row.searched[when]) is None else at[part]
            for part in ("search", "heldout")
            for when in ("before", "after")
        ]
        shape = None if row.shape is None else "x".join(map(str, row.shape))
        writer.writerow(
            [
                row.weight, " ".join(row.nodes), row.op, shape, row.bits,
                *(row.steps or (None, None)),
                row.on, row.sqnr, row.sensitivity, row.errors["nearest"], row.errors["start"],
                row.errors["evolved"], *searched, row.moved, row.seconds,
            ]
        )  # fmt: skip
    return text.getvalue()
