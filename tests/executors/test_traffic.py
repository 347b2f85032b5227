"""What was sent is counted from nothing."""

from dataclasses import astuple

from onnx_evoq.executors.traffic import Traffic


def test_nothing_was_sent_at_first() -> None:
    assert astuple(Traffic()) == (0, 0, 0, 0, 0, 0.0)
