"""Deadlines, with a clock that the tests set."""

from collections.abc import Callable

import pytest

from onnx_evoq.run import Deadline


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
