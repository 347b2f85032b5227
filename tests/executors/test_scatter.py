"""Values for a worker that comes and goes."""

import asyncio
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from onnx_evoq.executors import scatter
from onnx_evoq.executors.scatter import scattered


class Client:
    """A connection whose scheduler hands values on after some seconds, or fails.

    Args:
        seconds: that it takes.
        error: what is raised then.
    """

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self._seconds, self._error = seconds, error
        self.loop = SimpleNamespace(asyncio_loop=asyncio.new_event_loop())
        self.ended = False

    async def scatter(self, values: list[str], **options: Any) -> list[str]:
        assert options == {"workers": ["w"], "hash": False, "asynchronous": True}
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.ended = True
        if self._error is not None:
            raise self._error
        return [value.upper() for value in values]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the worker more often."""
    monkeypatch.setattr(scatter, "_LOOK", 0.02)


def scattered_by(client: Client, looks: list[bool]) -> list[str | None]:
    """What becomes of two values, where the worker is there, or not, look by look."""
    loop = client.loop.asyncio_loop
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        return scattered(client, ["a", "b"], "w", lambda: looks.pop(0))
    finally:
        asyncio.run_coroutine_threadsafe(
            asyncio.sleep(0.05), loop
        ).result()  # what was given up ends
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_values_have_names_once_they_are_there() -> None:
    assert scattered_by(Client(), []) == ["A", "B"]


def test_a_worker_that_is_there_is_waited_for() -> None:
    assert scattered_by(Client(0.1), [True] * 50) == ["A", "B"]


def test_a_worker_that_is_lost_is_given_up() -> None:
    client, looks = Client(30.0), [True, False]
    assert scattered_by(client, looks) == [None, None]
    assert not looks
    assert client.ended


@pytest.mark.parametrize("error", [KeyError("w"), OSError("closed"), TimeoutError("no worker")])
def test_a_worker_that_was_lost_before_gets_nothing(error: Exception) -> None:
    looks = [True]
    assert scattered_by(Client(error=error), looks) == [None, None]
    assert not looks  # so that the workers are known that are there now
