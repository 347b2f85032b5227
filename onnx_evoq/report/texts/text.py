"""Columns of cells, and numbers, sizes and counts as text."""

from collections.abc import Sequence

from onnx_evoq.quantize import Bits
from onnx_evoq.shortened import shortened

WIDTH = 80  # of a line


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


def number(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def size(count: int) -> str:
    """A number of bytes with its unit: 950 B, 12.3 kB, 4.56 MB, 2.3 GB.

    Example:
        >>> size(1094681)
        '1.09 MB'
    """
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.3g} kB" if count < 999_500 else "1 MB"
    if count < 999_500_000:
        return f"{count / 1_000_000:.3g} MB"
    return f"{count / 1_000_000_000:.3g} GB"


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
