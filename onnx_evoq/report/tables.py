"""Tables of results, as text of at most 80 columns."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from onnx_evoq.quantize import Bits
from onnx_evoq.report.results import ACTIVATION, Evaluation, Inspection, Result, Sensitivity
from onnx_evoq.setup import Score

WIDTH = 80
_SHOWN_BITS = (8, 6, 4, 3, 2)
_NAMES_COLUMNS = 12  # of a line that a long reason leaves to names, at least


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align cells in columns that are as wide as their content.

    Where a line would be longer than 80 characters, the first column is shortened in the middle.

    Args:
        header: the first row.
        rows: the other rows.
        left: the number of columns that are aligned left; the others are aligned right.

    Example:
        >>> print(table(["name", "bits"], [["conv", "6"]]))
        name  bits
        conv     6
    """
    grid = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[k]) for row in grid) for k in range(len(header))]
    room = WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)
    widths[0] = min(widths[0], max(room, 8))
    lines = []
    for row in grid:
        cells = [shortened(row[0], widths[0]).ljust(widths[0])]
        for k, cell in enumerate(row[1:], 1):
            cells.append(cell.ljust(widths[k]) if k < left else cell.rjust(widths[k]))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def shortened(text: str, width: int) -> str:
    """Leave out the middle of a text that is longer than `width` characters."""
    if len(text) <= width:
        return text
    head = (width - 2) // 2
    return text[:head] + ".." + text[len(text) - (width - 2 - head) :]


def number(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def size(count: int) -> str:
    """A number of bytes with its unit: 950 B, 12.3 kB, 4.56 MB.

    Example:
        >>> size(1094681)
        '1.09 MB'
    """
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.3g} kB" if count < 999_500 else "1 MB"
    return f"{count / 1_000_000:.3g} MB"


def width_range(bits: Bits) -> str:
    """The width of a weight, or the narrowest and the widest of its channels.

    Example:
        >>> width_range(4), width_range((2, 6, 3)), width_range((4, 4))
        ('4', '2-6', '4')
    """
    if isinstance(bits, int):
        return str(bits)
    return "-".join(str(width) for width in sorted({min(bits), max(bits)}))


def metric_label(name: str) -> str:
    """The short name of a metric for a table: of a function, its name without its file.

    Example:
        >>> metric_label("metrics/own.py:f1")
        'f1'
    """
    return shortened(name.rpartition(":")[2], 20)


def counted(count: int, noun: str) -> str:
    """A count with its noun: 1 weight, 2 weights."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
    lines = [
        table(header, rows),
        "",
        *textwrap.wrap(
            f"{counted(len(result.layers), 'weight')} ({by_width}), {searched} searched; "
            f"{counted(result.evaluations, 'evaluation')} in {result.seconds:.1f} s",
            WIDTH,
        ),
        *textwrap.wrap(about_activations, WIDTH),
        f"{size(result.bytes_before)} -> {size(result.bytes_after)} "
        f"(packed {size(result.packed_bytes)})  {output}",
    ]
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
    return table(["metric", "value"], rows)


def _measured(metric: str, value: float) -> str:
    return f"{100 * value:.2f} %" if metric in ("top1", "top5", "agreement") else number(value)


def inspection_text(inspection: Inspection) -> str:
    """The tables of an inspection."""
    header = ["weight", "op", "shape", "axis", "int", "low", "high", "split"]
    rows = [
        [
            w.name,
            w.op_type,
            _shape(w.shape),
            "-" if w.axis is None else str(w.axis),
            str(w.int_bits),
            f"{w.low:.3g}",
            f"{w.high:.3g}",
            "yes" if w.no_expansion is None else "-",
        ]
        for w in inspection.weights
    ]
    parts = [table(header, rows, 2)] if rows else ["no weights to quantize"]
    parts.append(_sizes_text(inspection))
    if inspection.folded:
        parts.append(f"{counted(len(inspection.folded), 'BatchNormalization node')} folded.")
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
