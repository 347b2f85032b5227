"""Says in words where two values differ that a run should have alike."""

from collections.abc import Iterator
from typing import Any

_NAMED = 3  # differences that are told
_LONGEST = 60  # characters of a value


def differences(name: str, before: Any, now: Any) -> str:
    """The first differences of two values, in words.

    Args:
        name: of the value.
        before: what it was, as JSON has it.
        now: what it is.

    Example:
        >>> before, now = {"strategy": "none", "bits": 4}, {"strategy": "coevolution", "bits": 4}
        >>> differences("options", before, now)
        'strategy was none, and is coevolution'
    """
    found = [_change(*each) for each in _leaves((name,), before, now)]
    more = "" if len(found) <= _NAMED else f"; and {len(found) - _NAMED} more"
    return "; ".join(found[:_NAMED]) + more


def _leaves(
    names: tuple[str, ...], before: Any, now: Any
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where two values differ: the names that lead there, and the values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _leaves((*names, key), before.get(key), now.get(key))
    elif before != now:
        yield names, before, now


def _change(names: tuple[str, ...], before: Any, now: Any) -> str:
    """A difference in words.

    Example:
        >>> _change(("options", "strategy"), "none", "coevolution")
        'strategy was none, and is coevolution'
    """
    *above, last = names
    if last == "sha256":
        return f"the {' '.join(above)} is another one by its content"
    name = " ".join(each for each in names if each != "options")
    return f"{name} was {_shown(before)}, and is {_shown(now)}"


def _shown(value: Any) -> str:
    """A value in a message.

    Example:
        >>> [_shown(each) for each in (None, True, 4, [0.5, 2], [], {"conv1": 4})]
        ['not given', 'on', '4', '0.5, 2', 'not given', 'given']
    """
    if value is None or value in ([], {}):
        return "not given"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        return "given"
    text = ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
