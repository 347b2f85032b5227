"""The steps beyond a plain reconstruction: each stays only if the held-out set agrees."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, random, task_of

from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.model import Model, find_weights, fold_batch_norm, load, with_codes
from onnx_evoq.pipeline.refine import equalize, evolve, refine
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers
from onnx_evoq.reconstruct.output_correction import correct_outputs
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task

QUICK = SearchSettings(population=4, generations=4, mutation_rate=None, passes=2)
TOGETHER = SearchSettings(population=8, generations=6, mutation_rate=0.05, together=True)


def task(**options: Any) -> Task:
    model, _ = fold_batch_norm(load(conv_net()))
    inputs = [random(24, 3, 8, 8, seed=seed) for seed in (1, 2)]
    return task_of(model, *inputs, **{"bits": 3, **options})


def start_of(given: Task) -> Reconstructed:
    return reconstruct_layers(given, np.random.default_rng(0))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def widths(found: Reconstructed) -> set[Any]:
    return {grid.bits for _, grid in found.quantized.values()}


def at_bits(bits: int) -> Callable[..., Task]:
    """Stands for equalization: the same task at another width."""
    return lambda given, rng: replace(given, bits=dict.fromkeys(given.bits, bits))


def narrow(model: Model) -> int:
    """How many weights are on a grid of 3 bits, told by their distinct values."""
    return sum(len(np.unique(weight.values)) <= 8 for weight in find_weights(model)[0])


def test_no_step_is_worse_on_the_heldout_set() -> None:
    given = task()
    start = start_of(given)
    before = given.fitness(start.emitted)
    assert given.fitness(equalize(given, start, rng()).emitted) <= before
    assert given.fitness(correct_outputs(given, start, rng())[0].emitted) < before
    for settings in (QUICK, TOGETHER):
        evolved = evolve(given, start, settings, rng())
        assert given.fitness(with_codes(start.model, evolved.quantized)) <= before


def test_all_of_them_together_lower_the_error() -> None:
    given = task()
    start = start_of(given)
    model, evolved = refine(given, start, QUICK, rng())
    assert given.fitness(with_codes(model, evolved.quantized)) < given.fitness(start.emitted)
    assert evolved.evaluations > 0
    assert evolved.stopped is None


def test_the_evaluations_of_all_steps_are_counted() -> None:
    given = task()
    start = start_of(given)
    draws = rng()
    equalized = equalize(given, start, draws)
    corrected, ran, _ = correct_outputs(given, equalized, draws)
    evolved = evolve(given, corrected, QUICK, draws)
    _, whole = refine(given, start, QUICK, rng())
    assert whole.evaluations == ran + evolved.evaluations


def test_equalization_that_is_worse_on_the_heldout_set_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", at_bits(2))
    given = task()
    start = start_of(given)
    assert equalize(given, start, rng()) is start


@pytest.mark.parametrize(("limit", "bits"), [(3, 3), (8, 8)])
def test_equalization_that_drops_too_much_is_not_taken(
    limit: int, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", at_bits(8))
    given = replace(task(), max_drop_check=lambda model: limit == 8 or narrow(model) == 3)
    assert widths(equalize(given, start_of(given), rng())) == {bits}


@pytest.mark.parametrize(
    "options", [{"granularity": "channel"}, {"scale": "float"}, {"deadline": Deadline(0)}], ids=str
)
def test_only_one_step_per_tensor_that_is_a_power_of_two_is_equalized(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", at_bits(8))
    given = task(**options)
    start = start_of(given)
    assert equalize(given, start, rng()) is start


def interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["equalize_layers", "correct_outputs"])
def test_an_interrupt_keeps_what_was_found(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"onnx_evoq.pipeline.refine.{step}", interrupted)
    given = task()
    start = start_of(given)
    model, evolved = refine(given, start, QUICK, rng())
    assert evolved.stopped == "interrupt"
    assert evolved.layers == {}
    assert given.fitness(with_codes(model, evolved.quantized)) <= given.fitness(start.emitted)
