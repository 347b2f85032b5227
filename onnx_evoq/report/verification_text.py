"""A verification as a table of at most 80 columns."""

import textwrap

from onnx_evoq.report.results import Verification
from onnx_evoq.report.texts import WIDTH, counted, metric_label, number, table


def verification_text(found: Verification) -> str:
    """The table of what was checked, and what is wrong."""
    on_grid = found.weights - len(found.off_grid)
    rows = [
        ["graph and values", "as written" if found.unchanged else "CHANGED"],
        ["weights on their grids", f"{on_grid} of {found.weights}"],
    ]
    if found.is_reference is not None:
        rows.append(["float model", "as recorded" if found.is_reference else "ANOTHER"])
    if found.value is not None and found.metric is not None:
        recorded = "" if found.recorded is None else f" (recorded {number(found.recorded)})"
        rows.append([f"{metric_label(found.metric)} against it", number(found.value) + recorded])
    if found.agreement is not None:
        rows.append(["equal answers", f"{100 * found.agreement:.1f} %"])
    made = f"{found.source}: written by onnx-evoq {found.version}, seed {found.seed}, "
    made += ", ".join(f"{name} {value}" for name, value in found.options.items())
    lines = [table(["checked", "found"], rows, 2), "", _wrapped(made)]
    if found.ok:
        lines.append("All is as recorded.")
    else:
        lines += ["", f"{counted(len(found.faults), 'fault')}:"]
        lines += [_wrapped(f"- {fault}") for fault in found.faults]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
    )
