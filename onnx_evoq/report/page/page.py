"""The page of a result: one HTML file that needs no network.

What is most asked for comes first: whether it was worth it, which layer hurts most, and what is
next. The page takes what `optimize --json` and `search --json` print, so that it can be made again
from a file. All text is escaped (`markup`), and a policy forbids the page to load anything.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from onnx_evoq.report.charts import (
    Markup,
    cell,
    code,
    command_box,
    data_table,
    element,
    joined,
)
from onnx_evoq.report.page.commands import given_command, shown
from onnx_evoq.report.page.convergence import convergence_section
from onnx_evoq.report.page.front import front_section, front_verdict, next_steps
from onnx_evoq.report.page.layer_rows import LayerRow, layer_rows
from onnx_evoq.report.page.layers import layers_section
from onnx_evoq.report.page.samples import samples_section
from onnx_evoq.report.page.verdict import verdict_of
from onnx_evoq.report.texts import (
    accuracy,
    counted,
    duration,
    metric_label,
    percent,
    plain,
    size,
    width_range,
    within,
)


def report_page(values: Mapping[str, Any]) -> str:
    """The page of a result.

    Args:
        values: of an optimized model or a search, as `to_dict` gives them; with "command", where
            the command line made it, and with "unfinished", where a run goes on.

    Returns:
        HTML.
    """
    source = PurePath(values["model"]).name
    body = _search_body(values, source) if "front" in values else _result_body(values, source)
    style, script = _file("page.css"), _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{source}: onnx-evoq report"),
        element("style", Markup(style)),
    )
    page = element(
        "html", head, element("body", body, element("script", Markup(script))), lang="en"
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _result_body(values: Mapping[str, Any], source: str) -> Markup:
    rows = layer_rows(values)
    widths = sorted({row.bits for row in rows})
    title = f"{source} at {widths[0] if len(widths) == 1 else f'{widths[0]} to {widths[-1]}'} bits"
    return joined(
        [_header(title, values), element("main", *_result_sections(values, rows), _end(values))]
    )


def _result_sections(
    values: Mapping[str, Any], rows: Sequence[LayerRow], name: str = "verdict"
) -> list[Markup | None]:
    """The parts on an optimized model; the first has a name, since a search has a verdict, too."""
    verdict = verdict_of(values, rows)
    last = "evolved" if values["evaluations"] else "emitted"
    answers = (values.get("details") or {}).get("answers")
    return [
        _verdict_section(
            verdict.level,
            verdict.worth,
            verdict.hurts,
            verdict.following,
            _scores(values, last),
            name,
        ),
        layers_section(values, rows, last),
        samples_section(answers),
        convergence_section(values.get("history") or [], values["metric"]),
    ]


def _search_body(values: Mapping[str, Any], source: str) -> Markup:
    worth, hurts = front_verdict(values)
    optimized = values.get("optimized")
    link = element("p", element("a", "Go to the front and its points", href="#front"))
    sections = [
        _verdict_section("kept", worth, hurts, next_steps(values), link),
        front_section(values),
        convergence_section(values.get("history") or [], values["metric"], "search"),
    ]
    if optimized:
        sections.append(element("h2", "The model of the chosen point", class_="part"))
        stated = {"command": values.get("command", {})} if "command" in values else {}
        sections += _result_sections({**optimized, **stated}, layer_rows(optimized), "optimized")
    header = _header(f"{source}: a width for each layer", values)
    return joined([header, element("main", *sections, _end(values))])


def _header(title: str, values: Mapping[str, Any]) -> Markup:
    what = "search" if "front" in values else "optimize"
    time = f"{counted(values['evaluations'], 'evaluation')} in {duration(values['seconds'])}"
    stopped = {"time": ", ended by the time budget", "interrupt": ", interrupted"}
    return element(
        "header",
        element("p", f"onnx-evoq {what}: {time}{stopped.get(values.get('stopped') or '', '')}"),
        element("h1", title),
        element("p", _sentence(values["unfinished"])) if values.get("unfinished") else None,
    )


def _verdict_section(
    level: str,
    worth: str,
    hurts: str,
    following: Sequence[tuple[str, str]],
    more: Markup,
    name: str = "verdict",
) -> Markup:
    first, *others = following
    offered = [element("p", first[0]), command_box(first[1]) if first[1] else None]
    if others:
        inner = [
            part for text, words in others for part in (element("p", text), command_box(words))
        ]
        offered.append(element("details", element("summary", "Other next steps"), *inner))
    return element(
        "section",
        element("h2", "Verdict"),
        element(
            "dl",
            element("div", element("dt", "Was it worth it?"), element("dd", worth)),
            element("div", element("dt", "Which layer hurts most?"), element("dd", hurts)),
            element("div", element("dt", "What next?"), element("dd", *offered)),
            class_="verdict",
        ),
        more,
        class_=level,
        id=name,
    )


def _scores(values: Mapping[str, Any], last: str) -> Markup:
    """The scores of the float model and the quantized ones, with intervals and sizes."""
    heldout = (values.get("details") or {}).get("heldout") or {}
    models, scores = heldout.get("models") or {}, values["scores"]
    labels = {"reference": "float", "nearest": "nearest", "start": "start", "evolved": last}
    if scores["start"] == scores["evolved"] or scores["start"] == scores["nearest"]:
        del labels["start"]
    with_top1 = any("top1" in model for model in models.values()) or "top1" in scores["reference"]
    label = metric_label(values["metric"])
    header = ["model", *(["top-1"] if with_top1 else []), label, "output error", "file"]
    after = size(values["bytes_after"])
    sizes = {"reference": size(values["bytes_before"]), "evolved": after}
    rows = []
    for name, shown_name in labels.items():
        model, score = models.get(name), scores[name]
        line: list[Any] = [shown_name]
        if with_top1:
            top1 = model["top1"] if model else {"value": score["top1"]["heldout"]}
            line.append(_with_interval(accuracy(top1["value"]), top1))
        metric = model["metric"] if model else {"value": score["heldout"]}
        line.append(_with_interval(plain(metric["value"], 4), metric, unit=""))
        relative = model["relative"] if model else {"value": None}
        line.append(_with_interval(percent(relative["value"]), relative))
        line.append(cell(sizes.get(name, after)))
        rows.append(line)
    samples = f" {heldout['samples']}" if "samples" in heldout else ""
    caption = f"Scores on{samples} held-out samples"
    if models:
        caption += ", with intervals of 95 % confidence"
    return data_table(caption, header, rows, class_="scores")


def _with_interval(text: str, of: Mapping[str, Any], unit: str = "percent") -> Markup:
    reach = within(of.get("low"), of.get("high"), unit)
    return cell(joined([text, " ", element("small", reach)]) if reach and of["value"] else text)


def _end(values: Mapping[str, Any]) -> Markup:
    """Notes, the command, and where the result comes from."""
    optimized = values.get("optimized") or {}
    details = {**(optimized.get("details") or {}), **(values.get("details") or {})}
    notes = [*values["notes"], *details.get("notes", [])]
    found = values if "bits" in values else optimized
    facts: list[tuple[str, Any]] = [("model", code(values["model"]))]
    if found.get("output"):
        facts.append(("written to", code(found["output"])))
    facts += [
        (f"SHA-256 of the {name}", code(digest))
        for name, digest in (details.get("sha256") or {}).items()
    ]
    samples = details.get("samples")
    if samples:
        facts.append(("samples", f"{samples['search']} select, {samples['heldout']} are held out"))
    versions = ", ".join(f"{name} {v}" for name, v in (details.get("versions") or {}).items())
    facts += [("seed", values["seed"]), ("metric", metric_label(values["metric"]))]
    if found.get("layers"):
        widths = sorted({width_range(_bits(layer["bits"])) for layer in found["layers"]})
        facts.append(("widths", ", ".join(widths)))
    facts.append(("versions", versions or "not recorded"))
    listed = [element("li", _sentence(note)) for note in notes]
    rows = [element("div", element("dt", name), element("dd", fact)) for name, fact in facts]
    return element(
        "section",
        element("h2", "Notes"),
        element("ul", *listed, class_="notes") if listed else element("p", "There are none."),
        element("h2", "How to repeat it"),
        command_box(shown(given_command(values))),
        element("dl", *rows, class_="facts"),
        id="notes",
    )


def _sentence(note: str) -> str:
    """A note with a capital, unless it begins with the name of a file or a tensor."""
    first = note.partition(" ")[0]
    return f"{note[:1].upper()}{note[1:]}" if first.rstrip(",").isalpha() else note


def _bits(bits: Any) -> Any:
    return tuple(bits) if isinstance(bits, list) else bits
