"""The part of a page on samples whose answer changed, or whose outputs have the largest error."""

from collections.abc import Mapping
from typing import Any

from onnx_evoq.report.charts import Markup, element
from onnx_evoq.report.texts import percent


def samples_section(answers: Mapping[str, Any] | None) -> Markup | None:
    """The samples, the most certain first; None if they are not known.

    Args:
        answers: {"kind", "changed", "of", "samples"}, as the details of a result have them.
    """
    if answers is None:
        return None
    of_classes = answers["kind"] == "classes"
    rows = answers["samples"]
    if of_classes:
        title = "Changed answers"
        text = (
            f"{answers['changed']} of {answers['of']} held-out samples get another answer than "
            "from the float model."
        )
        if rows:
            text += " Those of which the float model is most certain come first"
            text += "." if len(rows) == answers["changed"] else f"; {len(rows)} are shown."
    else:
        title = "Samples with the largest error"
        text = (
            f"The outputs are no classes, so that no answer changes: of {answers['of']} held-out "
            f"samples, these {len(rows)} have the largest error."
        )
    cards = [element("li", *_card(row, of_classes)) for row in rows]
    return element(
        "section",
        element("h2", title),
        element("p", text),
        element("ul", *cards, class_="samples") if cards else None,
        id="samples",
    )


def _card(row: Mapping[str, Any], of_classes: bool) -> list[Markup]:
    """What is shown of one sample: a picture or its values, and how it is answered."""
    name = f"held-out sample {row['sample']}"
    parts = []
    if "picture" in row:
        parts.append(element("img", src=_checked(row["picture"]), alt=name))
    lines = [element("strong", name)]
    for key, text in row.get("values", {}).items():
        lines.append(element("span", element("code", key), f" = {text}", class_="values"))
    if of_classes:
        right = row.get("label")
        lines += [
            element("span", f"float: class {row['float']}, {percent(row['float_certainty'])} sure"),
            element(
                "span", f"now: class {row['quantized']}, {percent(row['quantized_certainty'])} sure"
            ),
        ]
        if right is not None:
            lines.append(element("span", f"label: {right}, {_change(row, right)}"))
    else:
        lines.append(element("span", f"error: {percent(row['error'])} of its power"))
    return [*parts, element("div", *lines)]


def _change(row: Mapping[str, Any], right: int) -> str:
    if row["float"] == right:
        return "right before, wrong now"
    return "wrong before, right now" if row["quantized"] == right else "wrong before and now"


def _checked(address: str) -> str:
    """The address of a picture that is in the page.

    Raises:
        ValueError: it is elsewhere.
    """
    if not address.startswith("data:image/png;base64,"):
        raise ValueError("a picture is not in the page")
    return address
