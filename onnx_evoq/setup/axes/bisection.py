"""The lengths at which a function that grows has some value."""

from collections.abc import Callable

LONGEST = 1 << 13


def lengths_with(value: int, at: Callable[[int], int | None], known: int) -> tuple[int, int] | None:
    """The shortest and the longest length at which a function has a value; None if there are none.

    Args:
        value: the wanted value.
        at: the function, which does not fall; None for a length that is too short or too long.
        known: a length for which the value of the function is known.

    Example:
        >>> lengths_with(7, lambda n: n // 32, 128)
        (224, 255)
    """

    def above(length: int, limit: float) -> bool:
        found = at(length)
        return length > known if found is None else found > limit

    def shortest_above(limit: float) -> int:
        low, high = 0, LONGEST  # not above, above
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if above(middle, limit) else (middle, high)
        return high

    first = shortest_above(value - 0.5)
    if at(first) != value:
        return None
    return first, shortest_above(value + 0.5) - 1


def roundest(first: int, last: int) -> int:
    """The number of a range that is divisible by the highest power of two.

    Example:
        >>> roundest(193, 250), roundest(97, 120)
        (224, 112)
    """
    power = 1
    while (first + 2 * power - 1) // (2 * power) * 2 * power <= last:
        power *= 2
    return -(-first // power) * power
