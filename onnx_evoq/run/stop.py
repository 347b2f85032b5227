"""Why a search ended early, and the one place that handles Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Stopped(StrEnum):
    """Why not all of a search was done; None stands for a search that came to its end.

    Attributes:
        TIME: the time budget was used up.
        INTERRUPT: the user pressed Ctrl-C.
    """

    TIME = "time"
    INTERRUPT = "interrupt"


class Interruption:
    """Whether a block of statements was interrupted.

    Attributes:
        reason: `Stopped.INTERRUPT` after Ctrl-C, else None.
    """

    reason: Stopped | None = None


@contextmanager
def until_interrupted() -> Iterator[Interruption]:
    """Run a block until Ctrl-C, and go on behind it with what was found by then.

    Example:
        >>> with until_interrupted() as interruption:
        ...     raise KeyboardInterrupt
        >>> interruption.reason
        <Stopped.INTERRUPT: 'interrupt'>
    """
    interruption = Interruption()
    try:
        yield interruption
    except KeyboardInterrupt:
        interruption.reason = Stopped.INTERRUPT
