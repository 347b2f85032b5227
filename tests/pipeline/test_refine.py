"""The steps after a plain reconstruction: each is kept only if the held-out set agrees."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, random, task_of

from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.model import Model, find_weights, fold_batch_norm, load, same, with_codes
from onnx_evoq.pipeline.refine import equalize, evolve, refine
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.reconstruct.output_correction import correct_outputs
from onnx_evoq.run import Deadline, Stopped
from onnx_evoq.setup import Task

QUICK = SearchSettings(population=4, generations=2, mutation_rate=None, passes=2)
TOGETHER = SearchSettings(population=8, generations=6, mutation_rate=0.05, together=True)


def task(**options: Any) -> Task:
    model, _ = fold_batch_norm(load(conv_net()))
    inputs = [random(24, 3, 8, 8, seed=seed) for seed in (1, 2)]
    return task_of(model, *inputs, **{"bits": 3, **options})


def start_of(given: Task) -> QuantizedModel:
    return reconstruct_layers(given, np.random.default_rng(0))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def widths(found: QuantizedModel) -> set[Any]:
    return {grid.bits for _, grid in found.quantized.values()}


def at_bits(bits: int) -> Callable[..., Task]:
    """Stands for equalization: the same task at another width."""
    return lambda given, rng: replace(given, bits=dict.fromkeys(given.bits, bits))


def narrow(model: Model) -> int:
    """How many weights are on a grid of 3 bits, as their distinct values show."""
    return sum(len(np.unique(weight.values)) <= 8 for weight in find_weights(model)[0])


class Steps:
    """The steps of `refine`, one by one."""

    def __init__(self) -> None:
        self.task = task()
        self.start = start_of(self.task)
        draws = rng()
        self.equalized = equalize(self.task, self.start, draws)
        self.corrected, self.evaluations, _ = correct_outputs(self.task, self.equalized, draws)
        self.evolved = evolve(self.task, self.corrected, QUICK, draws)


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps()


def test_no_step_is_worse_on_the_heldout_set(steps: Steps) -> None:
    given = steps.task
    errors = [given.fitness(each.as_float) for each in (steps.start, steps.equalized)]
    errors.append(given.fitness(steps.corrected.as_float))
    errors.append(given.fitness(with_codes(steps.corrected.model, steps.evolved.quantized)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


def test_refine_takes_all_steps_and_counts_their_evaluations(steps: Steps) -> None:
    model, evolved = refine(steps.task, steps.start, QUICK, rng())
    assert same(model, steps.corrected.model)
    assert all(
        (weight.codes == steps.evolved.quantized[name].codes).all()
        for name, weight in evolved.quantized.items()
    )
    assert evolved.evaluations == steps.evaluations + steps.evolved.evaluations
    assert steps.evaluations > 0
    assert evolved.stopped is None


def test_all_weights_may_evolve_together(steps: Steps) -> None:
    evolved = evolve(steps.task, steps.start, TOGETHER, rng())
    assert len({id(scores) for scores in evolved.layers.values()}) == 1  # of the whole model
    emitted = with_codes(steps.start.model, evolved.quantized)
    assert steps.task.fitness(emitted) <= steps.task.fitness(steps.start.as_float)


def test_equalization_that_is_worse_on_the_heldout_set_is_not_taken(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", at_bits(2))
    assert equalize(steps.task, steps.start, rng()) is steps.start


@pytest.mark.parametrize(("limit", "bits"), [(3, 3), (8, 8)])
def test_equalization_that_drops_too_much_is_not_taken(
    steps: Steps, limit: int, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", at_bits(8))
    given = replace(steps.task, max_drop_check=lambda model: limit == 8 or narrow(model) == 3)
    assert widths(equalize(given, steps.start, rng())) == {bits}


def test_a_model_without_anything_to_equalize_stays(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", lambda task, rng: None)
    assert equalize(steps.task, steps.start, rng()) is steps.start


@pytest.mark.parametrize(
    "options", [{"granularity": "channel"}, {"scale": "float"}, {"deadline": Deadline(0)}], ids=str
)
def test_only_one_step_per_tensor_that_is_a_power_of_two_is_equalized(
    steps: Steps, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.pipeline.refine.equalize_layers", at_bits(8))
    assert equalize(replace(steps.task, **options), steps.start, rng()) is steps.start


def interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["equalize_layers", "correct_outputs", "evolve"])
def test_an_interrupt_keeps_the_codes_so_far(
    steps: Steps, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"onnx_evoq.pipeline.refine.{step}", interrupted)
    model, evolved = refine(steps.task, steps.start, QUICK, rng())
    assert evolved.stopped == "interrupt"
    assert evolved.layers == {}
    expected = {"equalize_layers": steps.start, "evolve": steps.corrected}.get(
        step, steps.equalized
    )
    assert same(model, expected.model)
    assert all(
        (weight.codes == expected.quantized[name].codes).all()
        for name, weight in evolved.quantized.items()
    )


def test_output_correction_that_time_cuts_short_is_reported(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(
        task: Task, start: QuantizedModel, rng: object
    ) -> tuple[QuantizedModel, int, Any]:
        return start, 5, Stopped.TIME

    monkeypatch.setattr("onnx_evoq.pipeline.refine.correct_outputs", cut_short)
    _, evolved = refine(steps.task, steps.start, replace(QUICK, generations=0), rng())
    assert evolved.stopped == "time"
    assert evolved.evaluations == 5 + 3 * 2  # each weight's start, on both sets
