"""The table of errors by output, and by parts of outputs whose channels are unlike."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from onnx_evoq.report.results import OutputResult
from onnx_evoq.report.texts import counted, number, table

_MOST_ROWS = 6


def output_table(outputs: Sequence[OutputResult], models: Mapping[str, str]) -> str:
    """The errors of outputs relative to their power; empty if there is one, and all is alike.

    Of many parts, those with the largest errors of the last model are shown.

    Args:
        outputs: the outputs.
        models: the models that are shown, each with its label.
    """
    rows = [(label, output, channels) for output in outputs for label, channels in output.parts()]
    moved = all(output.depends_on_weights for output in outputs)
    if len(rows) < 2 and moved:
        return ""

    def error(output: OutputResult, channels: slice, model: str) -> float:
        return fmean(output.errors[model][channels])

    last = list(models)[-1]
    shown = sorted(range(len(rows)), key=lambda k: -error(*rows[k][1:], last))[:_MOST_ROWS]
    cells = [
        [label, *[number(error(output, channels, model)) for model in models]]
        if output.depends_on_weights
        else [label, *["-"] * len(models)]
        for label, output, channels in (rows[k] for k in sorted(shown))
    ]
    lines = [table(["error as a share of power", *models.values()], cells)]
    if len(rows) > _MOST_ROWS:
        lines.append(f"the largest of {counted(len(rows), 'part')}")
    if not moved:
        lines.append("- does not depend on the weights with these inputs")
    return "\n".join(lines)
