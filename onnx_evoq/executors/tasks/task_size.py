"""How much work to put into one task: so much that sending it costs little beside it."""

_SECONDS = 0.25  # that a task should take
_LEAST_SECONDS = 0.02  # where there is little work, so that all workers have some
_UNKNOWN = 2  # tasks for each worker, before any time is known
_NEWEST = 0.5  # what the last time counts, beside those before it


class TaskSize:
    """Learns how long a unit of work takes, and says how many make a task.

    Example:
        >>> size = TaskSize()
        >>> size.units(of=80, workers=4)  # nothing is known: two tasks for each worker
        10
        >>> size.took(units=10, seconds=1.0)
        >>> size.units(of=80, workers=4)
        2
    """

    def __init__(self) -> None:
        self._seconds: float | None = None  # of a unit

    def took(self, units: int, seconds: float) -> None:
        """Take in how long a task took."""
        each = seconds / max(1, units)
        if self._seconds is not None:
            each = _NEWEST * each + (1 - _NEWEST) * self._seconds
        self._seconds = each

    def units(self, of: int, workers: int) -> int:
        """How many units make a task, at least 1.

        Args:
            of: units there are in all.
            workers: that do them.
        """
        if self._seconds is None:
            return max(1, -(-of // (_UNKNOWN * workers)))
        share = self._seconds * of / workers
        seconds = min(_SECONDS, max(_LEAST_SECONDS, share))
        return max(1, min(of, int(seconds / max(self._seconds, 1e-9))))
