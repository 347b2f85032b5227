"""The part of a page on a search: the verdict, the front, and the command for each point."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_evoq.report.charts import Markup, cell, command_box, data_table, element, front_chart
from onnx_evoq.report.page.commands import (
    given_command,
    point_command,
    short_point_command,
    shown,
    with_option,
)
from onnx_evoq.report.texts import metric_label, percent, plain, size, width_range
from onnx_evoq.shortened import shortened

_DROP = 1.0  # percent that a point may lose to be offered first
_USUAL_BITS = 4
_GAIN = 0.95  # of an error or a size, below which the search has gained something
_MORE_TIME = 4  # times
_MOST_TEXT = 500_000  # characters of all commands
_NAMES = 3  # of layers in a sentence


def bytes_key(values: Mapping[str, Any]) -> str:
    """The size of a point that counts."""
    return "packed_bytes" if values["size"] == "packed" else "file_bytes"


def offered_point(values: Mapping[str, Any]) -> int:
    """The place of the point that is offered: the one that was chosen, or a small good one.

    Without a choice, it is the smallest that loses 1 percent at most, or else the one that loses
    least.
    """
    front, chosen = values["front"], values.get("chosen")
    if chosen is not None:
        for k, point in enumerate(front):
            if all(point[key] == chosen.get(key) for key in ("bits", "expansion", "granularity")):
                return k
    drops = [float("inf") if p["drop"] is None else p["drop"] for p in front]
    return next((k for k, drop in enumerate(drops) if drop <= _DROP), drops.index(min(drops)))


def front_verdict(values: Mapping[str, Any]) -> tuple[str, str]:
    """Whether the search was worth it, and which layers need most bits.

    Points are compared by the relative error of the outputs, of which less is better always.
    """
    return _worth(values), _most_bits(values)


def _worth(values: Mapping[str, Any]) -> str:
    key, front = bytes_key(values), values["front"]
    uniform = [point for point in values["uniform"] if point["nmse"] is not None]
    if not uniform:
        return "The front is the result; there are no uniform widths to compare it with."
    usual = min(uniform, key=lambda point: abs(_widest(point) - _USUAL_BITS))
    fitting = [point for point in front if point[key] <= usual[key]] or front[:1]
    best = min(fitting, key=lambda point: point["nmse"])
    as_good = next((point for point in front if point["nmse"] <= usual["nmse"]), usual)
    gains = best["nmse"] < _GAIN * usual["nmse"] or as_good[key] < _GAIN * usual[key]
    smaller = ""
    if as_good[key] < usual[key]:
        smaller = f"; a point of {size(as_good[key])} is as good as that"
    return (
        f"{'Yes' if gains else 'Hardly'}: {_widest(usual)} bits everywhere take "
        f"{size(usual[key])} and put the outputs off by {percent(usual['nmse'])} of their power, "
        f"and the front has {percent(best['nmse'])} in {size(best[key])}{smaller}."
    )


def _most_bits(values: Mapping[str, Any]) -> str:
    point = values["front"][offered_point(values)]
    widths = {name: _largest(bits) for name, bits in point["bits"].items()}
    taken, most = size(point[bytes_key(values)]), max(widths.values())
    if most == min(widths.values()):
        return f"No layer stands out: at {taken} all have {most} bits."
    names = [shortened(name, 40) for name, bits in widths.items() if bits == most]
    more = "" if len(names) <= _NAMES else f" and {len(names) - _NAMES} more"
    them = "it" if len(names) == 1 else "them"
    return (
        f"{', '.join(names[:_NAMES])}{more}: at {taken} the search gives {them} {most} bits, the "
        "most."
    )


def next_steps(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to do with a front: which point to build, and whether more time is worth it."""
    k = offered_point(values)
    point = values["front"][k]
    sizes, drop = size(point[bytes_key(values)]), point["drop"]
    loses = "nothing" if drop is not None and drop <= 0 else f"{plain(drop)} %"
    text = f"Build point {k + 1}: it takes {sizes}, and loses {loses} on held-out samples."
    if values.get("optimized"):
        text = f"Point {k + 1} was built ({sizes}): see its verdict below, or build another point."
    steps = [(text, "")]
    if values.get("stopped") == "time":
        seconds = max(10, round(_MORE_TIME * values["seconds"]))
        again = with_option(given_command(values), "--time-budget", f"{seconds}s")
        steps.append(("Search for longer, since the time budget cut it short:", shown(again)))
    return steps


def _largest(bits: int | Sequence[int]) -> int:
    return bits if isinstance(bits, int) else max(bits)


def _widest(point: Mapping[str, Any]) -> int:
    return max(map(_largest, point["bits"].values()))


def _commands(values: Mapping[str, Any]) -> list[str]:
    """The command for each point; of many widths, it reads the policy from the search's JSON."""
    texts = [point_command(values, point) for point in values["front"]]
    if sum(map(len, texts)) <= _MOST_TEXT:
        return texts
    return [short_point_command(values, k) for k in range(len(texts))]


def front_section(values: Mapping[str, Any]) -> Markup:
    """The chart, the table, and the command that builds the point that is selected."""
    chosen, label = offered_point(values), metric_label(values["metric"])
    rows = []
    for k, point in enumerate(values["front"]):
        build = element(
            "button", f"Point {k + 1}", type="button", class_="pick", data_point=k,
            aria_pressed="true" if k == chosen else "false",
        )  # fmt: skip
        widths = [w for b in point["bits"].values() for w in ([b] if isinstance(b, int) else b)]
        rows.append(
            [
                build,
                cell(width_range(tuple(widths)), min(widths)),
                cell(len(point["expansion"]) or "-", len(point["expansion"])),
                cell(size(point["packed_bytes"]), point["packed_bytes"]),
                cell(size(point["file_bytes"]), point["file_bytes"]),
                cell(plain(point["search"]), point["search"]),
                cell(plain(point["heldout"]), point["heldout"]),
                cell(plain(point["drop"]), point["drop"]),
            ]
        )
    header = [
        "point",
        "bits",
        "split layers",
        "packed",
        "file",
        f"{label} search",
        "held-out",
        "drop, %",
    ]
    commands = [
        element("div", command_box(text), hidden=k != chosen, data_command=k)
        for k, text in enumerate(_commands(values))
    ]
    return element(
        "section",
        element("h2", "Size against error"),
        element("p", "Choose a point in the chart or in the table: its command follows."),
        element(
            "div",
            element("div", front_chart(values, chosen)),
            element(
                "div",
                element(
                    "h3", "Build ", element("span", f"point {chosen + 1}", id="picked"),
                    aria_live="polite",
                ),
                *commands,
            ),
            class_="beside",
        ),
        data_table("The Pareto front, smallest first", header, rows, sortable=True),
        id="front",
    )  # fmt: skip
