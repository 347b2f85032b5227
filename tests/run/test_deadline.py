"""Deadlines; the waits are those of arithmetic, not of the clock."""

import pytest

from onnx_evoq.run import Deadline


def test_without_a_limit_it_never_passes() -> None:
    assert not Deadline(None).passed
    assert Deadline(None).left == float("inf")
    assert not Deadline(None).share(5).passed


def test_no_time_has_passed_at_once() -> None:
    assert Deadline(0).passed
    assert Deadline(-1).left == 0.0


def test_a_share_is_that_part_of_the_time_left() -> None:
    assert Deadline(1000).share(4).left == pytest.approx(250, abs=1)
    assert Deadline(1000).share(1).left == pytest.approx(1000, abs=1)
