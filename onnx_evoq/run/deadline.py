"""A point in time after which a search stops."""

import time
from collections.abc import Callable


class Deadline:
    """A point in time, some seconds from now.

    Example:
        >>> Deadline(None).left, Deadline(0).passed
        (inf, True)

    Args:
        seconds: the time until the deadline; None for no deadline.
        clock: gives the time in seconds.
        ended: whether the deadline has come before its time.
    """

    def __init__(
        self,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock, self._ended = clock, ended
        self._end = float("inf") if seconds is None else clock() + seconds

    @property
    def ended(self) -> bool:
        """Whether the deadline has come before its time: what still runs shall end soon."""
        return self._ended()

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        if self.ended:
            return 0.0
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left == 0.0

    def earlier(self, seconds: float) -> "Deadline":
        """The deadline some seconds before this one, which leaves that time for what follows."""
        if self._end == float("inf"):
            return self
        return Deadline(max(0.0, self.left - seconds), self._clock, self._ended)

    def share(self, parts: int) -> "Deadline":
        """The deadline for the first of several equal parts of the time left."""
        return Deadline(self.left / max(1, parts), self._clock, self._ended)

    def unless(self, ended: Callable[[], bool]) -> "Deadline":
        """The same deadline, which also comes as soon as a function says so."""
        return Deadline(self.left, self._clock, lambda: self._ended() or ended())


NO_DEADLINE = Deadline(None)
