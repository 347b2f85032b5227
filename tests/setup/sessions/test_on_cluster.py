"""A function that runs while its cluster is connected."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from onnx_evoq.setup import Resources
from onnx_evoq.setup.sessions import on_cluster as decorator
from onnx_evoq.setup.sessions import on_cluster as on_cluster_door


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is connected and left, and what runs meanwhile."""
    entries: list[Any] = []

    @contextmanager
    def connected(address: str | None, workers: int) -> Iterator[None]:
        entries.append((address, workers))
        try:
            yield
        finally:
            entries.append("left")

    module = __import__("onnx_evoq.setup.sessions.on_cluster", fromlist=["connected"])
    monkeypatch.setattr(module, "connected", connected)
    return entries


def test_the_cluster_is_connected_while_the_function_runs(log: list[Any]) -> None:
    @on_cluster_door
    def function(value: int, *, resources: Resources) -> int:
        """Its text."""
        log.append("runs")
        return value + 1

    assert function(2, resources=Resources(workers=3, cluster="local:2")) == 3
    assert log == [("local:2", 3), "runs", "left"]
    assert (function.__name__, function.__doc__) == ("function", "Its text.")


def test_it_is_left_after_an_error(log: list[Any]) -> None:
    @decorator
    def function(*, resources: Resources) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        function(resources=Resources(workers=1, cluster="local:2"))
    assert log[-1] == "left"


def test_what_names_no_resources_just_runs(log: list[Any]) -> None:
    @decorator
    def function(**options: Any) -> dict[str, Any]:
        return options

    assert function() == {}
    assert function(resources=5) == {"resources": 5}  # the function says what is wrong with it
    assert log == []
