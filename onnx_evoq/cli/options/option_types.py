"""The types of options: durations, lists of numbers, sizes, patterns, and the TOML file."""

import difflib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # older versions of click cannot be subscripted


class _Parsed(ParamType):
    """The type of an option whose text is parsed by a function.

    Args:
        name: how click names the type.
        parse: makes a value of the text; raises ValueError if it cannot.
        hint: describes valid texts in the error message.
    """

    def __init__(self, name: str, parse: Callable[[str], Any], hint: str) -> None:
        self.name = name
        self._parse = parse
        self._hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value) if isinstance(value, str) else value  # a parsed default
        except ValueError:
            self.fail(f"{value!r} is not {self._hint}.", param, ctx)


def _duration(text: str) -> float | None:
    if text.lower() == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise ValueError(text)
    return float(match[1]) * _SECONDS[match[2]]


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _range(text: str) -> tuple[float, ...]:
    limits = _numbers(text)
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise ValueError(text)
    return limits


def _cluster(text: str) -> str | None:
    return None if text.lower() == "none" else text


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", text.strip().lower())
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * _BYTES[match[2]])


def _side(text: str) -> int | tuple[int, int]:
    sides = [int(part) for part in re.split("[x,]", text.lower())]
    if min(sides) < 1 or len(sides) > 2:
        raise ValueError(text)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _bits_for(text: str) -> tuple[str, int]:
    pattern, _, bits = text.rpartition("=")
    if not pattern or not 2 <= int(bits) <= 8:
        raise ValueError(text)
    return pattern, int(bits)


CONFIG = "onnx_evoq.config"  # the key under which the context holds the path of the TOML file

BYTES = _Parsed("bytes", _bytes, "a size like 500MB or 2GB")
CLUSTER = _Parsed("address", _cluster, "the address of a cluster, or none")
DURATION = _Parsed("duration", _duration, "a duration like 90s, 10m or 2h, or none")
NUMBERS = _Parsed("numbers", _numbers, "a list of numbers like 0.485,0.456,0.406")
RANGE = _Parsed("range", _range, "a range like 0,255")
SIDE = _Parsed("size", _side, "a size like 224 or 240x320")
BITS_FOR = _Parsed("pattern=bits", _bits_for, "a pattern and a width from 2 to 8, like 'conv*=8'")


def _options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by name, without dashes in front, as a file may give them."""
    return {
        name.lstrip("-"): option
        for option in command.params
        for name in option.opts
        if isinstance(option, click.Option) and name.startswith("--") and name != "--config"
    }


def _as_given(value: Any, multiple: bool) -> Any:
    """A value of a TOML file as the text that the command line would have.

    So it is parsed by the same type, as strictly. Flags stay what they are.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, dict):
        value = [f"{pattern}={bits}" for pattern, bits in value.items()]
    if multiple:
        return [str(one) for one in (value if isinstance(value, list) else [value])]
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Read a TOML file of options, whose values become the defaults.

    The keys are the names of the options, with - or _. Repeatable options take a list, and
    ``bits-for`` also a table of patterns. Options of other commands are ignored, so that one file
    serves all commands.

    Raises:
        click.BadParameter: the file cannot be read, or has a key that is no option.
    """
    if value is None:
        return
    ctx.meta[CONFIG] = value
    try:
        content = tomllib.loads(value.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise click.BadParameter(f"{value}: cannot be read as TOML: {cause}", ctx, param) from cause
    options = _options_of(ctx.command)
    group = ctx.parent.command if ctx.parent is not None else None
    commands = group.commands.values() if isinstance(group, click.Group) else ()
    elsewhere = {name for command in commands for name in _options_of(command)}
    defaults: dict[str, Any] = {}
    for key, given in content.items():
        name = key.replace("_", "-")
        if name in options:
            option = options[name]
            assert option.name is not None  # every option here has one
            defaults[option.name] = _as_given(given, option.multiple)
        elif name not in elsewhere:
            known = sorted({*options, *elsewhere})
            likely = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {likely[0]!r}?" if likely else f"these are: {', '.join(known)}"
            raise click.BadParameter(f"{value}: {key!r} is no option; {hint}", ctx, param)
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
