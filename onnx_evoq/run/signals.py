"""Signals that ask a process to end, while a result is on its way out."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from onnx_evoq.run.stop import Interruption, Stopped

ENDING_SIGNALS: tuple[int, ...] = tuple(  # Windows has no SIGHUP
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def keeping_what_was_found() -> Iterator[Interruption]:
    """Run a block of statements to its end, though one signal asks the process to end.

    Handlers of signals are replaced meanwhile. Of the first signal the KeyboardInterrupt is held
    back that its handler raises, and nothing else; a second one does what it always does. Only the
    main thread can hold signals back.

    Example:
        >>> with keeping_what_was_found() as interruption:
        ...     signal.raise_signal(signal.SIGINT)
        ...     print("written")
        written
        >>> interruption.reason
        <Stopped.INTERRUPT: 'interrupt'>
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    handled = {number: handler for number, handler in before.items() if callable(handler)}

    def hold(number: int, frame: FrameType | None) -> None:
        first = interruption.reason is None
        interruption.reason = Stopped.INTERRUPT
        try:
            handled[number](number, frame)
        except KeyboardInterrupt:
            if not first:
                raise

    for number in handled:
        signal.signal(number, hold)
    try:
        yield interruption
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
