"""HTML in which every text is escaped: elements are made by functions, never by joining strings."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_EMPTY = {"meta", "img", "br", "link"}


class Markup(str):
    """Text that is HTML already; any other text is escaped where it is put into an element."""

    __slots__ = ()


def element(name: str, /, *content: Any, **attributes: Any) -> Markup:
    """An element.

    Args:
        name: of the element.
        content: its content; None is left out.
        attributes: their underscores become dashes, and one at the end is dropped; None or False
            leaves an attribute out, and True gives it no value.

    Example:
        >>> element("a", "x < y", class_="wide", hidden=True)
        '<a class="wide" hidden>x &lt; y</a>'
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(content)}</{name}>")


def joined(parts: Iterable[Any]) -> Markup:
    """Parts one after the other, each escaped unless it is markup; None is left out."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else escape(str(part), quote=False)
            for part in parts
            if part is not None
        )
    )


def code(text: str) -> Markup:
    """A name or a path, which may break anywhere."""
    return element("code", text)


def command_box(text: str) -> Markup:
    """A command, with a button that copies it."""
    return element(
        "div",
        element(
            "pre",
            element("code", *_options_whole(text)),
            tabindex=0,
            aria_label="command",
            role="region",
        ),
        element("button", "Copy", type="button", class_="copy"),
        class_="command",
    )


def _options_whole(text: str) -> list[str | Markup]:
    """The words of a command, where no line breaks within the name of an option."""
    return [
        element("span", word) if word.startswith("-") else word for word in re.split(r"(\s+)", text)
    ]


def cell(text: Any, sort: float | str | None = None, **attributes: Any) -> Markup:
    """A cell of a table; a number that it is sorted by is aligned right.

    Args:
        text: its content.
        sort: what the rows are sorted by; None for a cell without a value.
        attributes: others.
    """
    number = isinstance(sort, int | float)
    return element("td", text, data_sort=sort, class_="number" if number else None, **attributes)


def data_table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    sortable: bool = False,
    **attributes: Any,
) -> Markup:
    """A table in a region that scrolls by itself, with a caption and scopes.

    Args:
        caption: says what the table holds.
        header: the heads of the columns.
        rows: cells; the first of a row is its head. Text becomes a cell.
        sortable: whether heads are buttons that sort the rows.
        attributes: of the table.
    """
    heads = [
        element("th", element("button", head, type="button") if sortable else head, scope="col")
        for head in header
    ]
    lines = [
        element(
            "tr",
            element("th", first, scope="row"),
            *(each if isinstance(each, Markup) else cell(each) for each in others),
        )
        for first, *others in rows
    ]
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *lines),
        **attributes,
    )
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)
