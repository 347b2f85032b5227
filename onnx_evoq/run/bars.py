"""Progress on stderr: bars on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from onnx_evoq.progress import Step

_LINE_EVERY = 30.0  # seconds
_LAYOUT = "{desc:<12} {percentage:3.0f}%|{bar}| {elapsed} spent, {remaining} left"


@contextmanager
def bars(label: str, total: float) -> Iterator[Step]:
    """Show the progress of some work on stderr, with the time that is left.

    On a terminal it is a tqdm bar. Elsewhere (in a log) it is a line every 30 seconds, so that
    short work shows nothing.

    Args:
        label: the name of the work.
        total: the amount of work. The bar is a function that takes the amount of each step.

    Example:
        >>> with bars("samples", 2) as step:
        ...     for _ in range(2):
        ...         done = step(1)
    """
    if not sys.stderr.isatty():
        yield Lines(label, total).step
        return
    with tqdm(
        total=total,
        desc=label,
        file=sys.stderr,
        bar_format=_LAYOUT,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield bar.update


class Lines:
    """Writes how far some work is, at the first step after each 30 seconds.

    Args:
        label: the name of the work.
        total: the amount of work.
        clock: gives the time in seconds.
    """

    def __init__(
        self, label: str, total: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._total, self._clock = label, total, clock
        self._done, self._began = 0.0, clock()
        self._next = self._began + _LINE_EVERY

    def step(self, amount: float) -> None:
        """Move on by an amount of work."""
        self._done += amount
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _LINE_EVERY
        spent = now - self._began
        left = ""
        if self._done > 0:
            rest = spent * max(self._total - self._done, 0.0) / self._done
            left = f", {_minutes(rest)} left"
        share = f"{round(self._done, 1):g} of {round(self._total, 1):g}"
        text = f"{self._label}: {share}, {_minutes(spent)} spent{left}"
        print(text, file=sys.stderr, flush=True)


def _minutes(seconds: float) -> str:
    """A time as minutes and seconds, 1:02, with hours where there are any, 1:00:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
