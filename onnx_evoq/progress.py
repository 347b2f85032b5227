"""Progress: a function that opens a bar, and a bar that takes steps.

The library shows nothing unless a caller passes `onnx_evoq.bars`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

Step = Callable[[float], object]
Progress = Callable[[str, float], AbstractContextManager[Step]]

Item = TypeVar("Item")


@contextmanager
def silent(label: str, total: float) -> Iterator[Step]:
    """Show nothing."""
    yield lambda amount: None


def stepping(items: Iterable[Item], step: Step) -> Iterator[Item]:
    """`items`, with a step after each of them."""
    for item in items:
        yield item
        step(1)
