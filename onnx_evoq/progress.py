"""The interface of progress: a `Progress` opens a stage of the work, and a `Step` moves it on.

A step may say where the work is: at which layer, with which best value so far, after how many
evaluations. The terminal (`onnx_evoq.bars`), the log and the history of a run read it from there.
The library shows nothing unless a caller passes `onnx_evoq.bars`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypedDict, TypeVar, Unpack


class Place(TypedDict, total=False):
    """Where the work is; what is left out, or None, stays as it was, but for the time left.

    Attributes:
        layer: the layer that the work is at.
        best: the best value of the metric so far.
        evaluations: candidates scored so far.
        left: seconds that are left of the time budget; None for no budget.
    """

    layer: str | None
    best: float | None
    evaluations: int | None
    left: float | None


class Step(Protocol):
    """Moves a stage on."""

    def __call__(self, amount: float, **place: Unpack[Place]) -> object:
        """Move on by an amount of work.

        Args:
            amount: the work done since the last step.
            place: where the work is.
        """


Progress = Callable[[str, float], AbstractContextManager[Step]]  # takes a label and a total

Item = TypeVar("Item")


@contextmanager
def silent(label: str, total: float) -> Iterator[Step]:
    """Show nothing."""
    yield _nothing


def _nothing(amount: float, **place: Unpack[Place]) -> None:
    """A step that shows nothing."""


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
