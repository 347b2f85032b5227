"""How much of a model is quantized in which way, as text."""

from onnx_evoq.report.results import Coverage
from onnx_evoq.report.text import WIDTH, shortened, size, table

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
        rows = [[shortened(e.name, WIDTH // 3), e.kind, size(e.bytes), e.reason] for e in named]
        header = ["the others", "", "bytes", "why"]
        lines += [shortened(line, WIDTH) for line in table(header, rows, 4).splitlines()]
    return "\n".join(lines)
