"""Weights whose candidates take too much memory are left out of a search."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import mlp, proto, random, rounded, task_of

from onnx_evoq.evolve import coevolve, evolve_layers, evolve_within_max_drop
from onnx_evoq.evolve import too_large as module
from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.evolve.too_large import too_large, without
from onnx_evoq.model import as_network, load
from onnx_evoq.reconstruct import QuantizedModel

MODEL = load(mlp())  # "first" (4, 6) and "second" (6, 3)
CODES = rounded(MODEL, 4)
START = QuantizedModel(as_network(MODEL), CODES, {}, ())
SETTINGS = SearchSettings(population=4, generations=3)
TOGETHER = SearchSettings(population=4, generations=3, together=True)
EACH = {"first": 24 * 16, "second": 18 * 16}  # bytes


@pytest.fixture(autouse=True)
def no_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST", 0)


@pytest.mark.parametrize(
    ("memory", "alone", "together"),
    [
        (10**6, [], []),
        (EACH["first"] + EACH["second"] - 1, [], ["first"]),
        (EACH["first"] - 1, ["first"], ["first"]),
        (EACH["second"] - 1, ["first", "second"], ["first", "second"]),
    ],
)
def test_the_largest_are_left_out(memory: int, alone: list[str], together: list[str]) -> None:
    assert too_large(CODES, SETTINGS, memory) == alone
    assert too_large(CODES, TOGETHER, memory) == together


def test_some_memory_is_always_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST", EACH["first"])
    assert too_large(CODES, SETTINGS, 0) == []


def test_the_model_of_the_others_computes_the_same() -> None:
    some = without(START, ["first"])
    assert list(some.quantized) == ["second"]
    assert proto(some.as_float) == proto(START.as_float)
    assert without(START, []) is START


@pytest.mark.parametrize("memory", [0, EACH["second"]])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.usefixtures("no_least_cache")
def test_a_search_leaves_them_as_they_are(memory: int, together: bool) -> None:
    task = task_of(MODEL, random(12, 4), random(12, 4, seed=1), bits=4, memory=memory)
    rng = np.random.default_rng(0)
    if together:
        found = coevolve(task, START, TOGETHER, rng)
    else:
        found = evolve_layers(task, START, SETTINGS, dict.fromkeys(CODES, rng))
    assert found.too_large == (("first", "second") if memory == 0 else ("first",))
    assert list(found.quantized) == ["first", "second"]
    np.testing.assert_array_equal(found.quantized["first"].codes, CODES["first"].codes)
    assert (found.evaluations == 0) == (memory == 0)


def test_they_are_narrowed_without_a_search() -> None:
    task = task_of(MODEL, random(12, 4), random(12, 4, seed=1), bits=4, memory=0)
    task = replace(task, max_drop_check=None)
    rng = np.random.default_rng(0)
    wide = rounded(MODEL, 8)
    found = evolve_within_max_drop(task, wide, CODES, SETTINGS, dict.fromkeys(CODES, rng))
    assert (found.too_large, found.evaluations) == (("first", "second"), 0)
    np.testing.assert_array_equal(found.quantized["first"].codes, CODES["first"].codes)
