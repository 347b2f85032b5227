"""Where a stage of a run is, as text of one line."""

import math

import pytest

from onnx_evoq.run.stage import Stage


def stage_at(seconds: float, label: str = "evolving", total: float = 4) -> Stage:
    """A stage that began some seconds ago."""
    times = iter([0.0])
    return Stage(label, total, lambda: next(times, seconds))


def test_a_stage_that_has_not_begun_knows_no_end() -> None:
    assert stage_at(5).sentence() == "evolving: 0 of 4, 0:05 spent"
    assert stage_at(5).line() == "evolving    0%  0:05 spent"


def test_what_a_step_does_not_say_stays_as_it_was() -> None:
    stage = stage_at(1)
    stage.step(1, layer="conv", best=0.5, evaluations=7, left=9.0)
    stage.step(0.5)
    assert (stage.done, stage.layer, stage.best, stage.evaluations) == (1.5, "conv", 0.5, 7)
    assert stage.left is None
    stage.step(1, layer="fc", best=0.25, evaluations=8)
    assert (stage.layer, stage.best, stage.evaluations) == ("fc", 0.25, 8)


@pytest.mark.parametrize("best", [math.inf, -math.inf, math.nan])
def test_a_best_value_is_finite(best: float) -> None:
    stage = stage_at(1)
    stage.step(1, best=2.0)
    stage.step(1, best=best)
    assert stage.best == 2.0


def test_the_time_left_is_the_smaller_of_budget_and_estimate() -> None:
    stage = stage_at(60)
    stage.step(1, left=1000.0)
    assert stage.remaining == 180
    stage.step(0, left=100.0)
    assert stage.remaining == 100
    stage.step(0, left=math.inf)
    assert stage.remaining == 180
    stage.step(5)
    assert stage.remaining == 0


def test_long_work_has_hours() -> None:
    stage = stage_at(7210, total=2.5)
    stage.step(1.25)
    assert stage.sentence() == "evolving: 1.2 of 2.5, 2:00:10 spent, 2:00:10 left"


def test_work_of_nothing_is_done() -> None:
    assert stage_at(1, total=0).line() == "evolving  100%  0:01 spent"


LONG = "model/backbone/stage4/block11/depthwise/convolution/kernel:weight"


@pytest.mark.parametrize("label", ["evolving", "sensitivity of activations", "x" * 60])
@pytest.mark.parametrize("width", [30, 50, 79, 80])
def test_no_line_is_too_long(label: str, width: int) -> None:
    stage = stage_at(36000, label)
    stage.step(1, layer=LONG, best=-1.2345e-12, left=36000.0)
    for text in (stage.line(width), stage.sentence(width)):
        assert len(text) <= width


def test_a_long_name_is_cut_in_the_middle_to_the_width() -> None:
    stage = stage_at(60)
    stage.step(1, layer=LONG, best=0.5)
    line = stage.line(79)
    assert len(line) == 79
    assert line.startswith("evolving   25%  model/backbone")
    assert line.endswith("kernel:weight  best 0.5  1:00 spent, 3:00 left")
    assert ".." in line


def test_a_name_without_room_is_left_out() -> None:
    stage = stage_at(60)
    stage.step(1, layer=LONG, best=0.5)
    assert stage.line(48) == "evolving   25%  best 0.5  1:00 spent, 3:00 left"


def test_a_name_does_not_steer_the_terminal() -> None:
    stage = stage_at(60)
    stage.step(4, layer="a\x1b[2Jb\r")
    assert stage.line() == "evolving  100%  a?[2Jb?  1:00 spent, 0:00 left"
