"""Progress on stderr: a line that changes on a terminal, elsewhere a line now and then."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Unpack

from onnx_evoq.progress import Place, Step
from onnx_evoq.run.stage import Stage

_LINE_EVERY = 30.0  # seconds, in a log
_SHOWN_EVERY = 0.1  # seconds, on a terminal
_WIDTH = 80  # characters of a line


@contextmanager
def bars(label: str, total: float) -> Iterator[Step]:
    """Show on stderr where some work is, with the time that is left.

    On a terminal it is one line for each stage: the stage, how far it is, the layer, the best value
    of the metric so far, the time spent, and the time left (of the stage as it goes, or of the time
    budget if that is less). Elsewhere (in a log) it is a line every 30 seconds, so that short work
    shows nothing.

    Args:
        label: the name of the work.
        total: the amount of work. The bar is a function that takes the amount of each step.

    Example:
        >>> with bars("samples", 2) as step:
        ...     for _ in range(2):
        ...         done = step(1)
    """
    if not sys.stderr.isatty():
        yield Lines(Stage(label, total)).step
        return
    live = LiveLine(Stage(label, total))
    live.show()
    try:
        yield live.step
    finally:
        live.clear()


class Lines:
    """Writes where a stage is, at the first step after each 30 seconds.

    Args:
        stage: the stage.
        clock: gives the time in seconds.
    """

    def __init__(self, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._clock = stage, clock
        self._next = clock() + _LINE_EVERY

    def step(self, amount: float, **place: Unpack[Place]) -> None:
        """Move the stage on."""
        self._stage.step(amount, **place)
        now = self._clock()
        if now >= self._next:
            self._next = now + _LINE_EVERY
            print(self._stage.sentence(_WIDTH), file=sys.stderr, flush=True)


class LiveLine:
    """A line of a terminal that shows where a stage is.

    Args:
        stage: the stage.
        clock: gives the time in seconds.
    """

    def __init__(self, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._clock = stage, clock
        self._next = clock() + _SHOWN_EVERY
        self._width = 0  # of what is shown

    def step(self, amount: float, **place: Unpack[Place]) -> None:
        """Move the stage on, and show it unless it was shown just now."""
        self._stage.step(amount, **place)
        if self._clock() >= self._next:
            self.show()

    def show(self) -> None:
        """Write the line over the one before."""
        self._next = self._clock() + _SHOWN_EVERY
        text = self._stage.line(_terminal_width() - 1)  # in the last column, a terminal may wrap
        self._write(text)

    def clear(self) -> None:
        """Leave the line empty."""
        self._write("")
        sys.stderr.write("\r")
        sys.stderr.flush()

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)


def _terminal_width() -> int:
    """The characters of a line: those of the terminal, at most 80."""
    try:
        return min(os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH, _WIDTH)
    except OSError:  # a terminal that does not say
        return _WIDTH
