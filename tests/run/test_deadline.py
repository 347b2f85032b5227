"""Deadlines, with a clock that the tests set."""

from collections.abc import Callable

import pytest

from onnx_evoq.run import NO_DEADLINE, Deadline


def clock(*readings: float) -> Callable[[], float]:
    """A clock that shows these times, and then the last one for ever."""
    left = list(readings)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_without_a_limit_it_never_passes() -> None:
    for deadline in (Deadline(None), Deadline(None).share(5)):
        assert not deadline.passed
        assert deadline.left == float("inf")


def test_a_time_of_zero_has_passed_at_once() -> None:
    assert Deadline(0).passed
    assert Deadline(-1).left == 0.0


def test_it_passes_after_its_seconds() -> None:
    deadline = Deadline(5, clock(100, 104.5, 104.5, 105, 105, 110))
    assert (deadline.left, deadline.passed) == (0.5, False)
    assert (deadline.left, deadline.passed) == (0.0, True)
    assert deadline.left == 0.0


@pytest.mark.parametrize(("parts", "left"), [(4, 15), (2, 30), (1, 60), (0, 60)])
def test_a_share_is_a_part_of_the_time_left(parts: int, left: float) -> None:
    deadline = Deadline(80, clock(100, 120))
    share = deadline.share(parts)
    assert (share.left, deadline.left) == (left, 60)


@pytest.mark.parametrize(("seconds", "left"), [(0, 60), (25, 35), (60, 0), (90, 0)])
def test_an_earlier_deadline_leaves_some_seconds(seconds: float, left: float) -> None:
    deadline = Deadline(80, clock(100, 120))
    earlier = deadline.earlier(seconds)
    assert (earlier.left, earlier.passed, deadline.left) == (left, left == 0, 60)


def test_an_earlier_deadline_passes_by_the_same_clock() -> None:
    earlier = Deadline(80, clock(100, 100, 100, 164, 166)).earlier(15)
    assert (earlier.left, earlier.left) == (1, 0)


@pytest.mark.parametrize("seconds", [0, 5, float("inf")])
def test_without_a_deadline_there_is_no_earlier_one(seconds: float) -> None:
    assert NO_DEADLINE.earlier(seconds).left == float("inf")
    assert not NO_DEADLINE.earlier(seconds).passed


def test_it_passes_early_where_a_function_says_so() -> None:
    ended: list[bool] = []
    deadline = Deadline(80, clock(100)).unless(lambda: bool(ended))
    later = [deadline, deadline.share(2), deadline.earlier(10), Deadline(None).unless(lambda: True)]
    assert [each.left for each in later] == [80, 40, 70, 0]
    ended.append(True)
    assert [each.left for each in later] == [0, 0, 0, 0]
