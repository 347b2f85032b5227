"""Tables of results, as text of at most 80 columns."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from onnx_evoq.report.coverage_text import coverage_text
from onnx_evoq.report.output_table import output_table
from onnx_evoq.report.results import ACTIVATION, Evaluation, Inspection, Result, Sensitivity
from onnx_evoq.report.texts import (
    WIDTH,
    counted,
    metric_label,
    number,
    size,
    table,
    width_range,
)
from onnx_evoq.setup import Score
from onnx_evoq.shortened import shortened

_SHOWN_BITS = (8, 6, 4, 3, 2)
_NAMES_COLUMNS = 12  # of a line that a long reason leaves to names, at least


def result_text(result: Result, output: str) -> str:
    """The table of an optimized model.

    Args:
        result: the model.
        output: the path that it was written to.
    """
    with_top1 = any(score.top1 for score in result.scores.values())
    header = ["", f"{metric_label(result.metric)} search", "held-out"]
    header += ["top1 search", "held-out"] if with_top1 else []
    searched = sum(layer.after is not None for layer in result.layers)
    labels = {"reference": "float", "nearest": "nearest"}
    if result.scores["start"] != result.scores["nearest"]:
        labels["start"] = "start"
    labels["evolved"] = "evolved" if result.evaluations else "emitted"
    rows = [_score_row(label, result.scores[key]) for key, label in labels.items()]
    widths = Counter(width_range(layer.bits) for layer in result.layers)
    by_width = ", ".join(f"{count} at {width} bits" for width, count in sorted(widths.items()))
    about_activations = _activations_line(result) if result.activations else ""
    by_output = output_table(result.outputs, {k: v for k, v in labels.items() if k != "reference"})
    lines = [
        table(header, rows),
        "",
        *([by_output, ""] if by_output else []),
        *textwrap.wrap(
            f"{counted(len(result.layers), 'weight')} ({by_width}), {searched} searched; "
            f"{counted(result.evaluations, 'evaluation')} in {result.seconds:.1f} s",
            WIDTH,
        ),
        *textwrap.wrap(about_activations, WIDTH),
        *coverage_text(result.coverage).splitlines(),
        f"{size(result.bytes_before)} -> {size(result.bytes_after)} "
        f"(packed {size(result.packed_bytes)})  {output}",
    ]
    if result.bytes_after >= result.bytes_before:
        lines.append("The file is not smaller than that of the float model: see the note.")
    if result.evaluations:
        lines.append(
            "The search set selected and the held-out set accepted: to judge, score data that\n"
            "neither holds (onnx-evoq evaluate)."
        )
    return "\n".join(lines)


def _activations_line(result: Result) -> str:
    """How many activations there are at which widths, and which operators stay float."""
    widths = Counter(each.bits for each in result.activations)
    by_width = ", ".join(f"{count} at {bits} bits" for bits, count in sorted(widths.items()))
    floats = ", ".join(f"{count} {name}" for name, count in result.float_ops.items())
    return (
        f"{counted(len(result.activations), 'activation')} ({by_width}); on integers "
        f"{counted(sum(result.integer_ops.values()), 'operator')}, on floats {floats or 'none'}"
    )


def _score_row(label: str, score: Score) -> list[str]:
    row = [label, number(score.search), number(score.heldout)]
    if score.top1:
        row += [f"{100 * score.top1[part]:.2f} %" for part in ("search", "heldout")]
    return row


def sensitivity_text(ranking: Sensitivity) -> str:
    """The table of a ranking, the least sensitive weight or activation first."""
    rows = [
        [
            row.name,
            row.op_type,
            "" if row.op_type == ACTIVATION else _shape(row.shape),
            str(row.bits),
            number(row.score),
        ]
        for row in ranking.rows
    ]
    label = metric_label(ranking.metric)
    what = "name" if any(row.op_type == ACTIVATION for row in ranking.rows) else "weight"
    header = [f"{what}, least sensitive first", "op", "shape", "bits", label]
    float_line = f"float model: {label} {number(ranking.reference)}"
    return f"{table(header, rows, 2)}\n\n{float_line}, {counted(ranking.samples, 'sample')}"


def evaluation_text(evaluation: Evaluation) -> str:
    """The table of an evaluation."""
    rows = [[metric_label(evaluation.metric), _measured(evaluation.metric, evaluation.value)]]
    for name in ("agreement", "mse", "kl"):
        value = getattr(evaluation, name)
        if value is not None and name != evaluation.metric:
            rows.append([f"{name} with the reference", _measured(name, value)])
    rows.append(["samples", str(evaluation.samples)])
    by_output = output_table(evaluation.outputs, {"model": "model"})
    return table(["metric", "value"], rows) + (f"\n\n{by_output}" if by_output else "")


def _measured(metric: str, value: float) -> str:
    return f"{100 * value:.2f} %" if metric in ("top1", "top5", "agreement") else number(value)


def inspection_text(inspection: Inspection) -> str:
    """The tables of an inspection."""
    header = ["weight", "op", "shape", "axis", "int", "low", "high", "solved", "split"]
    rows = [
        [
            w.name,
            w.op_type,
            _shape(w.shape),
            "-" if w.axis is None else str(w.axis),
            str(w.int_bits),
            f"{w.low:.3g}",
            f"{w.high:.3g}",
            "yes" if w.closed_form else "-",
            "yes" if w.no_expansion is None else "-",
        ]
        for w in inspection.weights
    ]
    parts = [table(header, rows, 2)] if rows else ["no weights to quantize"]
    parts.append(_sizes_text(inspection))
    if inspection.folded:
        parts.append(f"{counted(len(inspection.folded), 'BatchNormalization node')} folded.")
    nearest = [(w.name, w.op_type) for w in inspection.weights if not w.closed_form]
    if nearest:
        parts.append(_by_reason("Without a closed form, start from nearest rounding:", nearest))
    unsplittable = [(w.name, w.no_expansion) for w in inspection.weights if w.no_expansion]
    if unsplittable:
        parts.append(_by_reason("Channels that cannot be split:", unsplittable))
    if inspection.skipped:
        skipped = [(tensor.name, tensor.reason) for tensor in inspection.skipped]
        parts.append(_by_reason("Not weights:", skipped))
    return "\n\n".join(parts)


def _by_reason(title: str, named: Sequence[tuple[str, str]]) -> str:
    """List reasons, one per line, each with the number and the names of tensors that have it."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in named:
        by_reason.setdefault(reason, []).append(name)
    lines = [title]
    for reason, names in by_reason.items():
        reason = shortened(reason, WIDTH - 10 - _NAMES_COLUMNS)
        room = WIDTH - 10 - len(reason)
        shown = ", ".join(names)
        if len(shown) > room:
            more = ", .." if len(names) > 1 else ""
            shown = shortened(names[0], room - len(more)) + more
        lines.append(f"  {len(names):4}  {reason}: {shown}")
    return "\n".join(lines)


def _sizes_text(inspection: Inspection) -> str:
    header = ["bytes at", *[f"{bits} bits" for bits in _SHOWN_BITS]]
    rows = [[w.name, *[size(w.bytes[bits]) for bits in _SHOWN_BITS]] for w in inspection.weights]
    totals = [sum(w.bytes[bits] for w in inspection.weights) for bits in _SHOWN_BITS]
    rows.append([f"all weights (file {size(inspection.bytes)})", *[size(t) for t in totals]])
    stored = {bits: 8 if bits > 4 else 4 if bits > 2 else 2 for bits in _SHOWN_BITS}
    in_file = [sum(w.bytes[stored[bits]] for w in inspection.weights) for bits in _SHOWN_BITS]
    rows.append(["in INT8, INT4 or INT2", *[size(t) for t in in_file]])
    return table(header, rows)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(axis) for axis in shape) or "scalar"
