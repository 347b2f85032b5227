"""The charts of a page: errors through depth, convergence, and the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnx_evoq.report.charts.figure_svg import (
    EVOLVED,
    INK,
    NEAREST,
    SERIES,
    START,
    drawing,
    legend,
    svg_of,
)
from onnx_evoq.report.charts.markup import Markup
from onnx_evoq.report.texts import metric_label, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# How each model is drawn: its label, its colour, and marks that tell it apart without colours.
_MODELS = {
    "nearest": ("nearest", NEAREST, "s:"), "start": ("start", START, "^--"),
    "evolved": ("evolved", EVOLVED, "o-"),
}  # fmt: skip
_DECADE = 10.0  # between the least and the largest value, for a logarithmic axis
_MARKS_UP_TO = 60  # layers, or moments


def depth_chart(rows: Sequence[Mapping[str, Any]], last: str = "evolved") -> Markup | None:
    """The relative error behind each layer, for nearest rounding, the start and the last model.

    Args:
        rows: the layers in the graph's order, each with the error of each model.
        last: the label of the last model.

    Returns:
        None if there is no layer.
    """
    if not rows:
        return None
    with drawing("depth") as (figure, axes):
        for name, (label, color, style) in _MODELS.items():
            known = [(k, row.get(name)) for k, row in enumerate(rows, 1)]
            xy = [(k, value) for k, value in known if value is not None]
            if not xy or (name == "start" and _same(rows, "start", "evolved")):
                continue
            style = style if len(rows) <= _MARKS_UP_TO else style[1:]
            axes.plot(
                *zip(*xy, strict=True),
                style,
                color=color,
                label=last if name == "evolved" else label,
            )
        _percent_axis(axes, [v for row in rows for n in _MODELS if (v := row.get(n)) is not None])
        axes.set_xlabel("layer, in the order of the graph")
        axes.set_ylabel("error, share of power")
        _whole_numbers(axes)
        legend(figure)
        return svg_of(
            figure, "depth", "Error behind each layer; the table of layers holds the numbers."
        )


def sensitivity_chart(rows: Sequence[tuple[int, float]]) -> Markup | None:
    """The sensitivity of each layer as bars; None if there is none.

    Args:
        rows: the number of each layer in the graph's order, and its sensitivity.
    """
    if not rows:
        return None
    with drawing("sensitivity") as (figure, axes):
        numbers, heights = zip(*rows, strict=True)
        axes.bar(numbers, heights, color=NEAREST, width=0.8)
        _percent_axis(axes, [])
        axes.set_xlabel("layer, in the order of the graph")
        axes.set_ylabel("sensitivity, share of power")
        axes.grid(visible=False, axis="x")
        _whole_numbers(axes)
        return svg_of(
            figure, "sensitivity", "Sensitivity of each layer; the table holds the numbers."
        )


def _same(rows: Sequence[Mapping[str, Any]], one: str, other: str) -> bool:
    return all(row.get(one) == row.get(other) for row in rows)


def _percent_axis(axes: "Axes", values: Sequence[float]) -> None:
    """A vertical axis of shares, logarithmic where all are above 0."""
    if values and min(values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(lambda value, place: "")
    axes.yaxis.set_major_formatter(lambda value, place: percent(value))


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def convergence_chart(
    history: Sequence[Mapping[str, Any]], metric: str, against: str, name: str
) -> Markup | None:
    """The best value so far, by stage, over the seconds or over the candidates that were scored.

    Args:
        history: the moments of the run.
        metric: the name of the metric.
        against: "seconds" or "evaluations".
        name: of the chart.

    Returns:
        None if there are no two values of each.
    """
    known = [m for m in history if m.get("best") is not None and m.get(against) is not None]
    if min(len({moment[key] for moment in known}) for key in ("best", against)) < 2:
        return None
    every = list(dict.fromkeys(moment["stage"] for moment in history))  # as in the other chart
    with drawing(name) as (figure, axes):
        for stage in dict.fromkeys(moment["stage"] for moment in known):
            k = every.index(stage)
            xy = [(m[against], m["best"]) for m in known if m["stage"] == stage]
            style = ("-", "--", ":", "-.")[k % 4]
            axes.plot(
                *zip(*xy, strict=True), style, marker="o" if len(known) <= _MARKS_UP_TO else None,
                markersize=3,
                color=SERIES[k % len(SERIES)], label=stage, drawstyle="steps-post",
            )  # fmt: skip
        values = [moment["best"] for moment in known]
        if max(values) > _DECADE * min(values) > 0:
            axes.set_yscale("log")
        _plain_numbers(axes)
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.set_xlabel("seconds" if against == "seconds" else "candidates that were scored")
        axes.set_ylabel(f"best {metric_label(metric)}")
        legend(figure)
        return svg_of(figure, name, f"Best value over {against}, by stage.")


def stages_chart(history: Sequence[Mapping[str, Any]], name: str) -> Markup | None:
    """When each stage ran, as bars over the seconds; None without a stage."""
    spans: list[tuple[str, float, float]] = []
    before = 0.0
    for moment in history:
        now = float(moment["seconds"])
        if spans and spans[-1][0] == moment["stage"]:
            spans[-1] = (*spans[-1][:2], now)
        else:
            spans.append((moment["stage"], before, now))
        before = now
    if not spans:
        return None
    stages = list(dict.fromkeys(stage for stage, _, _ in spans))
    with drawing(name, 0.9 + 0.28 * len(stages)) as (figure, axes):
        for stage, first, last in spans:
            k = stages.index(stage)
            color = SERIES[k % len(SERIES)]
            axes.barh(k, max(last - first, 1e-3), left=first, height=0.6, color=color)
        axes.set_yticks(range(len(stages)), stages)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds")
        return svg_of(figure, name, "When each stage ran.")


def _plain_numbers(axes: "Axes") -> None:
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:.3g}")
    axes.yaxis.set_minor_formatter(lambda value, place: "")


def front_chart(values: Mapping[str, Any], chosen: int | None) -> Markup:
    """Size against error: the front, whose points are buttons, uniform widths and greedy choices.

    Args:
        values: of a search, as `Search.to_dict` gives them.
        chosen: the place of a point of the front that is marked; None for none.
    """
    key = "packed_bytes" if values["size"] == "packed" else "file_bytes"
    with drawing("front", 3.4) as (figure, axes):
        others = (
            ("uniform", "one width for all layers", NEAREST, "s--"),
            ("greedy", "by sensitivity alone", START, "x:"),
        )
        for name, label, color, style in others:
            points = [(p[key] / 1000, p["heldout"]) for p in values.get(name, ())]
            if points:
                axes.plot(*zip(*points, strict=True), style, color=color, label=label)
        front = [(p[key] / 1000, p["heldout"]) for p in values["front"]]
        axes.plot(*zip(*front, strict=True), "-", color=EVOLVED, label="front", zorder=3)
        for k, (x, y) in enumerate(front):
            size = 9 if k == chosen else 6.5
            axes.plot(
                [x], [y], "o", color=EVOLVED, markersize=size, gid=f"point-{k}", zorder=4,
                markeredgecolor=INK, markeredgewidth=0.6,
            )  # fmt: skip
        every = [p["heldout"] for n in ("front", "uniform", "greedy") for p in values.get(n, ())]
        if min(every) > 0:
            axes.set_yscale("log")
            _plain_numbers(axes)
        axes.set_xlabel(f"kB ({values['size']})")
        axes.set_ylabel(f"{metric_label(values['metric'])}, held-out samples")
        legend(figure)
        return svg_of(
            figure, "front", "Size against error; the table below holds the numbers.", points=True
        )
