"""Check a user's options before any work is done."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from onnx_evoq.errors import OptionError

MIN_BITS, MAX_BITS = 2, 8
MAX_ACTIVATION_BITS = 16


def check_bits(bits: int) -> None:
    """Raise an OptionError unless `bits` is a width from 2 to 8."""
    check_whole(bits=bits)
    if not MIN_BITS <= bits <= MAX_BITS:
        raise OptionError(f"bits {bits} is out of range: choose from {MIN_BITS} to {MAX_BITS}.")


def check_activations(bits: int) -> None:
    """Raise an OptionError unless `bits` is a width from 2 to 16."""
    check_whole(activations=bits)
    if not MIN_BITS <= bits <= MAX_ACTIVATION_BITS:
        raise OptionError(
            f"activations {bits} is out of range: choose from {MIN_BITS} to {MAX_ACTIVATION_BITS} "
            "bits."
        )


def check_choices(**chosen: tuple[str, Sequence[str]]) -> None:
    """Raise an OptionError unless each value is among its choices.

    Args:
        chosen: for each option, by its name, the value and the values that are allowed.
    """
    for name, (value, choices) in chosen.items():
        if value not in choices:
            raise OptionError(f"{name} {value!r} is unknown: choose {' or '.join(choices)}.")


def check_seed(seed: int) -> None:
    """Raise an OptionError unless `seed` can seed NumPy's generators."""
    check_whole(seed=seed)
    if seed < 0:
        raise OptionError(f"seed {seed} is negative: choose 0 or more.")


def check_whole(**numbers: Any) -> None:
    """Raise an OptionError unless each number is a whole one.

    Args:
        numbers: for each option, by its name, the value.
    """
    for name, value in numbers.items():
        if not isinstance(value, Integral):
            raise OptionError(f"{name} {value!r} is no whole number: give one without quotes.")


def check_kinds(**given: tuple[Any, type]) -> None:
    """Raise an OptionError unless each value is of its class.

    Args:
        given: for each option, by its name, the value and the class that it must be of.
    """
    for name, (value, kind) in given.items():
        if not isinstance(value, kind):
            raise OptionError(
                f"{name} {value!r} is no {kind.__name__}: give an onnx_evoq.{kind.__name__}(..)."
            )


def check_limits(
    *, holdout: float = 0.25, max_drop: float | None = None, **seconds: float | None
) -> None:
    """Raise an OptionError unless the numbers are in range.

    Args:
        holdout: share of the samples in the held-out set, between 0 and 1.
        max_drop: in percent, from 0 to 100; None for no limit.
        seconds: time budgets by name, each above 0; None for no limit.
    """
    given = {"holdout": holdout, "max_drop": max_drop, **seconds}
    for name, value in given.items():
        if value is not None and not isinstance(value, Real):
            raise OptionError(f"{name} {value!r} is no number.")
    if not 0 < holdout < 1:
        raise OptionError(f"holdout {holdout} is no share: choose one between 0 and 1, 0.25 say.")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise OptionError(f"max_drop {max_drop} is no percentage: choose from 0 to 100.")
    for name, budget in seconds.items():
        if budget is not None and not budget > 0:
            raise OptionError(f"{name} {budget} is not positive: give seconds.")
