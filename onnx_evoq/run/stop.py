"""Reasons for which a search ends early, and the handling of Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Stopped(StrEnum):
    """The reason for which a search ended early; None stands for a complete search.

    Attributes:
        TIME: the time budget was used up.
        INTERRUPT: the user pressed Ctrl-C, or the process was asked to end.
    """

    TIME = "time"
    INTERRUPT = "interrupt"


class Interruption:
    """Says whether a block of statements was interrupted.

    Attributes:
        reason: `Stopped.INTERRUPT` after Ctrl-C, else None.
    """

    reason: Stopped | None = None


@contextmanager
def until_interrupted() -> Iterator[Interruption]:
    """Run a block of statements; on Ctrl-C, leave it and go on with the statement behind it.

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
