"""How much of a model is quantized in which way, as text."""

from textwrap import wrap

from onnx_evoq.report.results import Coverage
from onnx_evoq.report.texts import WIDTH, size, table
from onnx_evoq.shortened import shortened

_LEAST_SHARE = 0.02  # of a tensor that is named


def coverage_text(coverage: Coverage) -> str:
    """The shares of a model's floats, and the largest that are not quantized in closed form."""
    total = max(1, coverage.total)
    kinds = {
        "in closed form": coverage.closed_form,
        "nearest only": coverage.nearest,
        "stay float": coverage.float,
    }
    shares = ", ".join(f"{100 * count / total:.1f} % {kind}" for kind, count in kinds.items())
    lines = [f"of {size(coverage.total)} of floats {shares}"]
    named = [each for each in coverage.largest if each.bytes >= _LEAST_SHARE * total]
    if named:
        rows = [[shortened(each.name, WIDTH // 3), each.kind, size(each.bytes)] for each in named]
        known = table(["the others", "", "bytes"], rows, 3).splitlines()
        width = max(map(len, known)) + 2
        for line, why in zip(known, ["why", *(each.reason for each in named)], strict=True):
            lines += _beside(line.ljust(width), why)
    return "\n".join(lines)


def _beside(start: str, text: str) -> list[str]:
    """Lines that begin with a start, and go on below each other with a text."""
    first, *others = wrap(text, WIDTH - len(start)) or [""]
    return [f"{start}{first}".rstrip(), *(" " * len(start) + line for line in others)]
