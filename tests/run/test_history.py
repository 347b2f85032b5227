"""The history of a run: moments that are gathered from its progress."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from onnx_evoq.progress import silent
from onnx_evoq.run import Deadline, History, Moment, Recorder


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_step_is_a_moment() -> None:
    clock = Clock()
    recorder = Recorder(silent, Deadline(None), clock=clock)
    clock.now = 1.0
    with recorder("reconstructing", 2) as step:
        step(1, layer="conv")
        clock.now = 2.5
        step(1, layer="fc")
    with recorder("evolving", 3) as step:
        step(0.5, layer="fc", best=0.25, evaluations=9)
    assert recorder.history == History(
        (
            Moment(1.0, "reconstructing", "conv", 1, 2, None, None),
            Moment(2.5, "reconstructing", "fc", 2, 2, None, None),
            Moment(2.5, "evolving", "fc", 0.5, 3, 0.25, 9),
        )
    )
    assert recorder.history.to_list()[2] == {
        "seconds": 2.5, "stage": "evolving", "layer": "fc", "done": 0.5, "total": 3, "best": 0.25,
        "evaluations": 9,
    }  # fmt: skip


def test_steps_are_passed_on_with_the_time_left() -> None:
    clock, seen = Clock(), list[Any]()

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        seen.append((label, total))
        yield lambda amount, **where: seen.append((amount, where))
        seen.append("closed")

    recorder = Recorder(progress, Deadline(10, clock))
    clock.now = 4.0
    with recorder("evolving", 3) as step:
        step(1, layer="fc", best=0.5, evaluations=2)
    where = {"layer": "fc", "best": 0.5, "evaluations": 2, "left": 6.0}
    assert seen == [("evolving", 3), (1, where), "closed"]


def test_without_a_budget_no_time_is_left() -> None:
    seen = list[Any]()

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        yield lambda amount, **where: seen.append(where["left"])

    with Recorder(progress, Deadline(None))("evolving", 1) as step:
        step(1)
    assert seen == [None]


@pytest.mark.parametrize("steps", [10, 11, 25, 1000])
def test_a_long_run_has_few_moments_spread_over_it(steps: int) -> None:
    recorder = Recorder(silent, Deadline(None), most=10)
    with recorder("evolving", steps) as step:
        for index in range(steps):
            step(1, best=float(steps - index))
    done = [moment.done for moment in recorder.history.moments]
    assert 5 <= len(done) <= 10
    assert done[-1] == steps
    gaps = [after - before for before, after in zip([0, *done], done, strict=False)]
    assert max(gaps[:-1], default=1) <= 2 * steps / 5


def test_the_last_moment_of_each_stage_is_kept_also_if_it_fails() -> None:
    recorder = Recorder(silent, Deadline(None), most=10)
    for label, steps in (("one", 7), ("two", 30), ("three", 5)):
        with recorder(label, steps) as step:
            for _ in range(steps):
                step(1)
    with suppress(KeyboardInterrupt), recorder("four", 9) as step:
        step(1)
        raise KeyboardInterrupt
    last = {moment.stage: moment.done for moment in recorder.history.moments}
    assert last == {"one": 7, "two": 30, "three": 5, "four": 1}


def test_a_stage_without_steps_is_no_moment() -> None:
    recorder = Recorder(silent, Deadline(None))
    with recorder("evolving", 0):
        pass
    assert recorder.history == History()


def test_of_too_many_stages_the_last_are_kept() -> None:
    recorder = Recorder(silent, Deadline(None), most=4)
    for index in range(9):
        with recorder(f"stage {index}", 1) as step:
            step(1)
    moments = recorder.history.moments
    assert len(moments) <= 4
    assert moments[-1].stage == "stage 8"
