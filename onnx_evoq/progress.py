"""The interface of progress: a `Progress` opens a stage of the work, and a `Step` moves it on.

A step may say where the work is: at which layer, with which best value so far, after how many
evaluations. The terminal (`onnx_evoq.bars`), the log and the history of a run read it from there.
The library shows nothing unless a caller passes `onnx_evoq.bars`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar


class Step(Protocol):
    """Moves a stage on."""

    def __call__(
        self,
        amount: float,
        layer: str | None = None,
        best: float | None = None,
        evaluations: int | None = None,
        left: float | None = None,
    ) -> object:
        """Move on by an amount of work.

        Args:
            amount: the work done since the last step.
            layer: the layer that the work is at; None for that of the last step.
            best: the best value of the metric so far; None for that of the last step.
            evaluations: candidates scored so far; None for those of the last step.
            left: seconds that are left of the time budget; None for no budget.
        """


Progress = Callable[[str, float], AbstractContextManager[Step]]  # takes a label and a total

Item = TypeVar("Item")


@contextmanager
def silent(label: str, total: float) -> Iterator[Step]:
    """Show nothing."""
    yield _nothing


def _nothing(
    amount: float,
    layer: str | None = None,
    best: float | None = None,
    evaluations: int | None = None,
    left: float | None = None,
) -> None:
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
