"""Progress: a function that opens a bar, and a bar that takes steps.

The library shows nothing unless a caller passes `bars`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tqdm import tqdm

Step = Callable[[float], object]
Progress = Callable[[str, float], AbstractContextManager[Step]]


@contextmanager
def silent(label: str, total: float) -> Iterator[Step]:
    """Show nothing."""
    yield lambda amount: None


@contextmanager
def bars(label: str, total: float) -> Iterator[Step]:
    """A tqdm bar on stderr with the time left, if stderr is a terminal.

    Args:
        label: what is going on.
        total: the amount of work; steps are parts of it.
    """
    shape = "{desc:<20} {percentage:3.0f}%|{bar}| {elapsed} spent, {remaining} left"
    with tqdm(
        total=total,
        desc=label,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        bar_format=shape,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield bar.update
