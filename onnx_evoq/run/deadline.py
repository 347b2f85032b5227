"""A point in time after which a search stops."""

import time
from collections.abc import Callable


class Deadline:
    """So many seconds from now; infinitely many for None.

    Args:
        seconds: time until the deadline.
        clock: gives the time in seconds.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = float("inf") if seconds is None else clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        """Whether there is no time left."""
        return self.left == 0.0

    def share(self, parts: int) -> "Deadline":
        """The deadline for the first of `parts` equal parts of the time left."""
        seconds = None if self._end == float("inf") else self.left / max(1, parts)
        return Deadline(seconds, self._clock)
