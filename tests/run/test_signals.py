"""Signals while a result is on its way out."""

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from onnx_evoq.run.signals import keeping_what_was_found
from onnx_evoq.run.stop import Stopped


def test_one_signal_is_held_back_until_what_was_found_is_kept() -> None:
    done = []
    with keeping_what_was_found() as interruption:
        assert interruption.reason is None
        signal.raise_signal(signal.SIGINT)
        done.append("written")
    assert (done, interruption.reason) == (["written"], Stopped.INTERRUPT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)  # as before


def signalled_twice() -> None:
    with keeping_what_was_found():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_is_not_held_back() -> None:
    with pytest.raises(KeyboardInterrupt):
        signalled_twice()


def test_a_handler_of_the_user_hears_of_a_signal_that_is_held_back() -> None:
    heard = []

    def handler(number: int, frame: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with keeping_what_was_found():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_threads_leave_signals_as_they_are() -> None:
    def work() -> Any:
        with keeping_what_was_found():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() is signal.getsignal(signal.SIGINT)
