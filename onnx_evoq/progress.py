"""The interface of progress bars: a `Progress` opens a bar, and a `Step` moves it on.

The library shows nothing unless a caller passes `onnx_evoq.bars`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

Step = Callable[[float], object]  # takes an amount of work
Progress = Callable[[str, float], AbstractContextManager[Step]]  # takes a label and a total

Item = TypeVar("Item")


@contextmanager
def silent(label: str, total: float) -> Iterator[Step]:
    """Show nothing."""
    yield lambda amount: None


def stepping(items: Iterable[Item], step: Step) -> Iterator[Item]:
    """Yield the items, with a step of 1 after each of them.

    Example:
        >>> with silent("items", 2) as step:
        ...     list(stepping("ab", step))
        ['a', 'b']
    """
    for item in items:
        yield item
        step(1)
