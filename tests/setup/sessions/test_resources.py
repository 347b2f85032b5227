"""How many runs are made at the same time, and how much memory is free."""

import os
from typing import Any

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.setup.sessions import resources as module
from onnx_evoq.setup.sessions.resources import (
    Resources,
    cache_memory,
    on_a_worker,
    on_cpu,
    workers_of,
)


def test_one_worker_is_enough_and_none_is_refused() -> None:
    assert Resources(workers=1).workers == 1
    with pytest.raises(OptionError, match="workers 0 score nothing: choose 1 or more"):
        Resources(workers=0)


@pytest.mark.parametrize(
    ("providers", "expected"),
    [
        (None, True),
        ([], True),
        (["CPUExecutionProvider"], True),
        (["cpu", "cuda"], True),
        (["cuda", "cpu"], False),
    ],
)
def test_the_first_provider_computes(providers: list[str] | None, expected: bool) -> None:
    assert on_cpu(Resources(providers)) is expected


def test_other_devices_make_one_run_at_a_time() -> None:
    assert workers_of(Resources(["cuda", "cpu"], workers=3)) == 1


def test_the_cpu_makes_as_many_runs_as_the_user_allows() -> None:
    assert workers_of(Resources(workers=3)) == 3


def test_the_cpu_makes_one_run_per_core_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5} if pid == 0 else set())
    assert workers_of(Resources()) == 3


@pytest.mark.parametrize(("cores", "workers"), [(6, 6), (None, 1)])
def test_without_that_set_of_cores_all_cores_count(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, workers: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert workers_of(Resources()) == workers


@pytest.mark.parametrize(
    ("memory", "cache"), [(None, 400), (1000, 700), (310, 10), (309, 10), (0, 10)]
)
def test_activations_may_fill_what_the_process_does_not_hold_yet(
    monkeypatch: pytest.MonkeyPatch, memory: int | None, cache: int
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: 800)  # of which half is used
    monkeypatch.setattr(module, "used_memory", lambda: 300)
    monkeypatch.setattr(module, "_LEAST_CACHE", 10)
    assert cache_memory(Resources(memory=memory)) == cache


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"providers": "cpu"}, "providers 'cpu' is one name: give a list"),
        ({"memory": "500MB"}, "memory '500MB' is no whole number"),
        ({"memory": -1}, "memory -1 is negative"),
        ({"workers": 1.5}, "workers 1.5 is no whole number"),
    ],
)
def test_values_that_make_no_sense_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Resources(**given)


def test_a_worker_of_a_cluster_has_one_core_and_nobody_else() -> None:
    given = Resources(["cuda"], 500, 8, cluster="local:2")
    assert on_a_worker(given) == Resources(["cuda"], 500, 1)
