"""Where a stage of a run is: how far, at which layer, with which best value, in which time."""

import math
import time
from collections.abc import Callable
from typing import Unpack

from onnx_evoq.progress import Place
from onnx_evoq.shortened import shortened

_LEAST_NAME = 8  # characters of a layer's name; with less room for it, it is left out


class Stage:
    """Where a stage of a run is.

    Example:
        >>> stage = Stage("evolving", 4, clock=lambda: 0.0)
        >>> stage.step(1, layer="conv1.weight", best=0.0125, left=60)
        >>> stage.sentence()
        'evolving: 1 of 4, conv1.weight, best 0.0125, 0:00 spent, 0:00 left'

    Args:
        label: the name of the stage.
        total: the amount of work.
        clock: gives the time in seconds.

    Attributes:
        done: the amount of work that is done.
        layer: the layer that the work is at; None if no step named one.
        best: the best value of the metric so far; None if no step named a finite one.
        evaluations: candidates scored so far; None if no step said so.
        left: seconds that were left of the time budget at the last step; None for no budget.
    """

    def __init__(
        self, label: str, total: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.label, self.total, self._clock = label, total, clock
        self._began = clock()
        self.done = 0.0
        self.layer: str | None = None
        self.best: float | None = None
        self.evaluations: int | None = None
        self.left: float | None = None

    def step(self, amount: float, **place: Unpack[Place]) -> None:
        """Move on; what a step does not say stays as it was, but for the time left."""
        self.done += amount
        layer, best, left = place.get("layer"), place.get("best"), place.get("left")
        evaluations = place.get("evaluations")
        self.layer = self.layer if layer is None else layer
        if best is not None and math.isfinite(best):
            self.best = float(best)
        self.evaluations = self.evaluations if evaluations is None else evaluations
        self.left = None if left is None or not math.isfinite(left) else left

    @property
    def spent(self) -> float:
        """Seconds since the stage began."""
        return self._clock() - self._began

    @property
    def remaining(self) -> float | None:
        """Seconds left of the stage as it goes, or of the budget if these are fewer."""
        known = [] if self.left is None else [self.left]
        if self.done > 0:
            known.append(self.spent * max(self.total - self.done, 0.0) / self.done)
        return min(known) if known else None

    def sentence(self, width: int = 80) -> str:
        """Where the stage is, for a log."""
        share = f"{round(self.done, 1):g} of {round(self.total, 1):g}"
        return self._joined([f"{self.label}: {share}"], ", ", width)

    def line(self, width: int = 80) -> str:
        """Where the stage is, for a line of a terminal that changes."""
        share = min(self.done / self.total, 1.0) if self.total else 1.0
        return self._joined([self.label, f"{share:4.0%}"], "  ", width)

    def _joined(self, head: list[str], separator: str, width: int) -> str:
        """A head, the layer, the best value and the time, in so many characters."""
        tail = [] if self.best is None else [f"best {self.best:.4g}"]
        remaining = self.remaining
        rest = "" if remaining is None else f", {_minutes(remaining)} left"
        tail.append(f"{_minutes(self.spent)} spent{rest}")
        without = separator.join([*head, *tail])
        if self.layer is not None:
            name = "".join(char if char.isprintable() else "?" for char in self.layer)
            room = width - len(without) - len(separator)
            if room >= min(len(name), _LEAST_NAME):
                return separator.join([*head, shortened(name, room), *tail])
        return shortened(without, width)


def _minutes(seconds: float) -> str:
    """A time as minutes and seconds, 1:02, with hours where there are any, 1:00:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
