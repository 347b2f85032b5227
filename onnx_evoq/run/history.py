"""The history of a run: how its best value changed, stage by stage, gathered from its progress."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Unpack

from onnx_evoq.progress import Place, Progress, Step
from onnx_evoq.run.deadline import Deadline
from onnx_evoq.run.stage import Stage

MOST_MOMENTS = 2000


@dataclass(frozen=True)
class Moment:
    """Where a run was at some time.

    Attributes:
        seconds: since the run began.
        stage: the name of the stage.
        layer: the layer that the work was at; None if the stage has none.
        done: the amount of work of the stage that was done.
        total: all of its work.
        best: the best value of the metric so far in this stage; None if it has none.
        evaluations: candidates that this stage had scored; None if it does not count them.
    """

    seconds: float
    stage: str
    layer: str | None
    done: float
    total: float
    best: float | None
    evaluations: int | None


@dataclass(frozen=True)
class History:
    """What a run did, as moments in their order, at most 2,000.

    Attributes:
        moments: the moments; of a long run every second, fourth, ... step, and the last of each
            stage.
    """

    moments: tuple[Moment, ...] = ()

    def to_list(self) -> list[dict[str, Any]]:
        """The moments as plain values for JSON."""
        return [asdict(moment) for moment in self.moments]


class Recorder:
    """A progress that passes each step on to another, and keeps what a history needs.

    It tells each step how many seconds are left until the deadline.

    Example:
        >>> from onnx_evoq.progress import silent
        >>> recorder = Recorder(silent, Deadline(None))
        >>> with recorder("evolving", 2) as step:
        ...     step(1, layer="conv1", best=0.5)
        >>> [(moment.stage, moment.layer, moment.best) for moment in recorder.history.moments]
        [('evolving', 'conv1', 0.5)]

    Args:
        progress: the other.
        deadline: of the run.
        most: moments that are kept, at most.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        progress: Progress,
        deadline: Deadline,
        most: int = MOST_MOMENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._deadline, self._most, self._clock = progress, deadline, most, clock
        self._began, self._every, self._steps = clock(), 1, 0
        self._moments: list[Moment] = []

    @property
    def history(self) -> History:
        """The moments so far."""
        return History(tuple(self._moments))

    @contextmanager
    def __call__(self, label: str, total: float) -> Iterator[Step]:
        """Open a stage."""
        stage = Stage(label, total, self._clock)
        with self._progress(label, total) as shown:

            def step(amount: float, **place: Unpack[Place]) -> None:
                if place.get("left") is None:
                    place["left"] = self._deadline.left
                stage.step(amount, **place)
                self._steps += 1
                if self._steps % self._every == 0:
                    self._keep(stage)
                place["left"] = stage.left
                shown(amount, **place)

            before = self._steps
            try:
                yield step
            finally:
                if self._steps > before and self._steps % self._every:
                    self._keep(stage)

    def _keep(self, stage: Stage) -> None:
        """Keep where a stage is; if that is one moment too many, leave out every second."""
        seconds = round(self._clock() - self._began, 3)
        self._moments.append(
            Moment(
                seconds,
                stage.label,
                stage.layer,
                round(stage.done, 6),
                stage.total,
                stage.best,
                stage.evaluations,
            )
        )
        if len(self._moments) > self._most:
            self._every *= 2
            last_of_stages = zip(self._moments, [*self._moments[1:], None], strict=True)
            self._moments = [
                moment
                for index, (moment, after) in enumerate(last_of_stages)
                if index % 2 or after is None or after.stage != moment.stage
            ]
            del self._moments[: max(0, len(self._moments) - self._most)]
