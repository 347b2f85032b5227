"""Reasons for which a search ends early, and the handling of Ctrl-C and other signals."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType

ENDING = tuple(  # signals that end a process; Windows has no SIGHUP
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None)) is not None
)


class Stopped(StrEnum):
    """The reason for which a search ended early; None stands for a complete search.

    Attributes:
        TIME: the time budget was used up.
        INTERRUPT: the user pressed Ctrl-C.
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


@contextmanager
def keeping_what_was_found() -> Iterator[None]:
    """Run a block of statements to its end, though one signal asks the process to end.

    A second signal does what it always does. Only the main thread can hold signals back.

    Example:
        >>> with keeping_what_was_found():
        ...     signal.raise_signal(signal.SIGINT)
        ...     print("written")
        written
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        handler, first = before[signal.Signals(number)], not held
        held = True
        try:
            if callable(handler):
                handler(number, frame)
        except KeyboardInterrupt:
            if not first:
                raise

    own = [number for number, handler in before.items() if callable(handler)]
    for number in own:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in own:
            signal.signal(number, before[number])
