"""Deadlines."""

from onnx_evoq.run import Deadline


def test_without_a_limit_it_never_passes() -> None:
    assert not Deadline(None).passed
    assert Deadline(None).left == float("inf")
    assert not Deadline(None).share(5).passed


def test_no_time_has_passed_at_once() -> None:
    assert Deadline(0).passed
    assert Deadline(-1).left == 0.0


def test_a_share_is_that_part_of_the_time_left() -> None:
    now = [100.0]
    deadline = Deadline(80, clock=lambda: now[0])
    now[0] = 120.0
    share = deadline.share(4)
    assert (deadline.left, share.left) == (60, 15)
    now[0] = 135.0
    assert share.passed
    assert not deadline.passed
