"""The part of a page on how a run went: its stages, and its best values over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_evoq.report.charts import Markup, convergence_chart, element, stages_chart

_COMPARED = (
    "Stages score on samples of their own, so that only the values of one stage compare with each "
    "other."
)

Moments = Sequence[Mapping[str, Any]]


def convergence_section(history: Moments, metric: str, name: str = "convergence") -> Markup | None:
    """The charts of a run; None without its moments.

    Args:
        history: the moments, {"seconds", "stage", "layer", "done", "total", "best",
            "evaluations"} each.
        metric: the name of the metric.
        name: of the part, and of its charts.
    """
    counted = with_all_evaluations(history)
    charts = [
        stages_chart(history, f"{name}-stages"),
        convergence_chart(counted, metric, "seconds", f"{name}-seconds"),
        convergence_chart(counted, metric, "evaluations", f"{name}-evaluations"),
    ]
    drawn = [element("div", chart) for chart in charts if chart is not None]
    if not drawn:
        return None
    return element(
        "section",
        element("h2", "How it went"),
        element("div", *drawn, class_="charts"),
        element("p", _COMPARED, class_="soft") if len(drawn) > 1 else None,
        id=name,
    )


def with_all_evaluations(history: Moments) -> list[dict[str, Any]]:
    """Moments whose evaluations are counted from the beginning, not from that of their stage.

    Example:
        >>> moments = [{"stage": "a", "evaluations": 5}, {"stage": "b", "evaluations": 2}]
        >>> [moment["evaluations"] for moment in with_all_evaluations(moments)]
        [5, 7]
    """
    found, before, last = [], 0, 0
    stage = None
    for moment in history:
        own = moment.get("evaluations")
        if moment["stage"] != stage or (own is not None and own < last):
            before, last, stage = before + last, 0, moment["stage"]
        if own is not None:
            last = own
        found.append({**moment, "evaluations": None if own is None else before + own})
    return found
