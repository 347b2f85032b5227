"""Numbers of a page as text: shares, intervals, steps and times."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
_LEAST_PERCENT, _ROUND_PERCENT = 0.0001, 999.5


def percent(share: float | None) -> str:
    """A share of 1 in percent, with three digits.

    Example:
        >>> percent(0.98437), percent(0.000123), percent(None)
        ('98.4 %', '0.0123 %', '-')
    """
    if share is None or not math.isfinite(share):
        return "-"
    value = 100 * share
    if 0 < abs(value) < _LEAST_PERCENT:
        return f"< {_LEAST_PERCENT:g} %"
    text = f"{value:,.0f}" if abs(value) >= _ROUND_PERCENT else f"{value:.3g}"
    return f"{text} %".replace("-", MINUS)


def accuracy(share: float) -> str:
    """A top-1 in percent, with two decimals."""
    return f"{100 * share:.2f} %"


def within(low: float | None, high: float | None, unit: str = "percent") -> str:
    """The interval of a number, in brackets; empty without one.

    Args:
        low: its lowest value; None for no interval.
        high: its highest value.
        unit: "percent" of shares, "points" for shares with a sign, "" for other numbers.

    Example:
        >>> within(0.931, 0.984), within(1.5, 2.25, "")
        ('(93.1\N{EN DASH}98.4 %)', '(1.5\N{EN DASH}2.25)')
    """
    if low is None or high is None:
        return ""
    if unit == "points":
        return f"({signed(low)} to {signed(high)} points)"
    if unit == "percent":
        return f"({percent(low).removesuffix(' %')}{DASH}{percent(high)})"
    return f"({low:.3g}{DASH}{high:.3g})"


def signed(share: float) -> str:
    """A difference of shares in points, with its sign.

    Example:
        >>> signed(-0.0078)
        '\N{MINUS SIGN}0.8'
    """
    points = round(100 * share, 1)
    return "0.0" if not points else f"{points:+.1f}".replace("-", MINUS)


def plain(value: float | None, digits: int = 3) -> str:
    """A number with some significant digits; a dash for none."""
    return "-" if value is None else f"{value:.{digits}g}".replace("-", MINUS, 1)


def duration(seconds: float) -> str:
    """A time with its unit.

    Example:
        >>> duration(0.25), duration(61), duration(7300)
        ('0.25 s', '61 s', '2.03 h')
    """
    if seconds < 600:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def step_text(steps: Sequence[float]) -> str:
    """A step, or the least and the largest of many; powers of two as such.

    Example:
        >>> step_text([0.0625, 0.0625]), step_text([0.01, 0.25])
        ('2^-4', '0.01\N{EN DASH}2^-2')
    """
    texts = [_power(step) for step in (min(steps), max(steps))]
    return DASH.join(dict.fromkeys(texts))


def _power(step: float) -> str:
    mantissa, exponent = math.frexp(step)
    return f"2^{exponent - 1}" if mantissa == 0.5 else f"{step:.3g}"


def seconds_by_layer(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The time that each layer took: from one moment of a run to the next, which names it."""
    spent: dict[str, float] = {}
    before = 0.0
    for moment in history:
        layer, now = moment.get("layer"), float(moment["seconds"])
        if layer is not None:
            spent[layer] = spent.get(layer, 0.0) + now - before
        before = now
    return spent
