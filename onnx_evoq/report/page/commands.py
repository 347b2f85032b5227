"""Commands that a page offers: the given one with another option, and those that come next.

A command is a list of words. It comes with the result where the command line made it; of a result
from Python, it is made up from what the result says, with DATA for the data.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_NO_DATA = ["--data", "DATA"]


def shown(words: Sequence[str]) -> str:
    """A command as a user types it, quoted where a shell needs it."""
    return " ".join(map(shlex.quote, words))


def given_command(values: Mapping[str, Any]) -> list[str]:
    """The command that a result comes from."""
    stated = values.get("command", {})
    if "words" in stated:
        return list(stated["words"])
    if "front" in values:
        return ["onnx-evoq", "search", values["model"], *_NO_DATA]
    width = [] if values.get("bits") is None else ["--bits", str(values["bits"])]
    return ["onnx-evoq", "optimize", values["model"], *width, *_NO_DATA]


def with_option(words: Sequence[str], name: str, value: str, *, also: bool = False) -> list[str]:
    """A command with another value of an option.

    Args:
        words: the command.
        name: of the option, with dashes.
        value: its value.
        also: whether values that it has already stay, as those of a repeatable option do.

    Example:
        >>> with_option(["a", "--bits", "4", "--x=1"], "--bits", "5")
        ['a', '--x=1', '--bits', '5']
    """
    kept, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if not also and word == name:
            rest = rest[1:]
        elif also or not word.startswith(f"{name}="):
            kept.append(word)
    return [*kept, name, value]


def evaluation_command(values: Mapping[str, Any]) -> list[str]:
    """The command that scores the written model on data that no search has seen."""
    stated = values.get("command", {})
    output = values.get("output") or "QUANTIZED.onnx"
    words = ["onnx-evoq", "evaluate", output, "--data", "TEST_DATA", *stated.get("data", [])]
    return [*words, "--reference", values["model"]]


def point_command(values: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    """The commands that write the policy of a point of a front, and build its model.

    Args:
        values: of a search.
        point: of its front.
    """
    policy = {key: point[key] for key in ("bits", "expansion", "granularity") if point.get(key)}
    return f"cat > policy.json <<'END'\n{json.dumps(policy)}\nEND\n{_build(values)}"


def short_point_command(values: Mapping[str, Any], place: int) -> str:
    """The commands that take the policy of a point from what `search --json` printed.

    Args:
        values: of a search.
        place: of the point in its front.
    """
    take = f"import json; print(json.dumps(json.load(open('result.json'))['front'][{place}]))"
    return f'python -c "{take}" > policy.json\n{_build(values)}'


def _build(values: Mapping[str, Any]) -> str:
    words = ["onnx-evoq", "optimize", values["model"], "--policy", "policy.json"]
    return shown([*words, *values.get("command", {}).get("optimize", _NO_DATA)])
