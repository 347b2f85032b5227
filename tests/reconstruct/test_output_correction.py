"""Layers whose codes are chosen again by their effect on the network's output."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random, task_of

from onnx_evoq.model import (
    Layer,
    Model,
    find_layers,
    find_weights,
    fold_batch_norm,
    load,
)
from onnx_evoq.reconstruct import output_correction as module
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.reconstruct.output_correction import correct_outputs
from onnx_evoq.record import NO_STEPS, Steps
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup import Task

Case = tuple[Task, QuantizedModel]


def case(granularity: str) -> Case:
    """A convolutional network at 2 bits, and its reconstruction."""
    model, _ = fold_batch_norm(load(conv_net()))
    images = random(32, 3, 8, 8, seed=9), random(24, 3, 8, 8, seed=8)
    task = task_of(model, *images, bits=2, granularity=granularity)
    return task, reconstruct_layers(task, np.random.default_rng(0))


@pytest.fixture(scope="module")
def tensor_case() -> Case:
    return case("tensor")


@pytest.fixture(scope="module")
def corrected(tensor_case: Case) -> tuple[QuantizedModel, int, Any]:
    return correct_outputs(*tensor_case, np.random.default_rng(0))


def test_the_error_on_the_heldout_set_falls(
    tensor_case: Case, corrected: tuple[QuantizedModel, int, Any]
) -> None:
    task, start = tensor_case
    assert task.fitness(corrected[0].as_float) < task.fitness(start.as_float)
    assert corrected[2] is None


def test_steps_per_channel_are_corrected_too() -> None:
    task, start = case("channel")
    found, _, _ = correct_outputs(task, start, np.random.default_rng(0))
    assert task.fitness(found.as_float) < task.fitness(start.as_float)


def test_codes_change_and_stay_on_their_grids(
    tensor_case: Case, corrected: tuple[QuantizedModel, int, Any]
) -> None:
    before, after = tensor_case[1].quantized, corrected[0].quantized
    assert any((after[name].codes != before[name].codes).any() for name in after)
    for codes, grid in after.values():
        assert codes.min() >= grid.low
        assert codes.max() <= grid.high


def test_the_same_seed_gives_the_same_codes(
    tensor_case: Case, corrected: tuple[QuantizedModel, int, Any]
) -> None:
    again, _, _ = correct_outputs(*tensor_case, np.random.default_rng(0))
    for name, (codes, _) in corrected[0].quantized.items():
        np.testing.assert_array_equal(again.quantized[name].codes, codes)


# A small network


def network() -> Model:
    """x (n, 5, 4) -> two layers with biases, and one without -> y (n, 5, 2)."""
    nodes = [
        node("MatMul", ["x", "w1"], ["a1"]),
        node("Add", ["a1", "b1"], ["h1"]),
        node("MatMul", ["h1", "w2"], ["a2"]),
        node("Add", ["a2", "b2"], ["h2"]),
        node("MatMul", ["h2", "w3"], ["y"]),
    ]
    weights = {
        "w1": random(4, 3), "b1": random(3), "w2": random(3, 6, seed=1), "b2": random(6),
        "w3": random(6, 2, seed=2),
    }  # fmt: skip
    return load(model_of(nodes, {"x": ["n", 5, 4]}, {"y": ["n", 5, 2]}, weights))


INPUTS = random(10, 5, 4, seed=1)


@pytest.fixture(scope="module")
def small() -> Case:
    task = task_of(network(), INPUTS, random(6, 5, 4, seed=2), bits=2, size=4)
    return task, reconstruct_layers(task, np.random.default_rng(0))


def layer_of(start: QuantizedModel, name: str) -> Layer:
    return find_layers(start.model, find_weights(start.model)[0])[name]


def correction_of(given: Case, **options: Any) -> Any:
    return module._Correction(replace(given[0], **options), given[1], np.random.default_rng(0))


def test_each_layer_with_a_bias_is_run_once_per_channel_and_once_unshifted(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PASSES", 1)
    _, evaluations, stopped = correct_outputs(*small, np.random.default_rng(0))
    assert (evaluations, stopped) == ((3 + 1) + (6 + 1), None)


def test_a_layer_that_was_not_reconstructed_is_left_out(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, start = small
    monkeypatch.setattr(module, "_PASSES", 1)
    without = replace(start, layers={n: each for n, each in start.layers.items() if n != "w2"})
    assert correct_outputs(task, without, np.random.default_rng(0))[1] == 3 + 1


def test_a_model_above_the_max_drop_is_not_accepted(small: Case) -> None:
    task, start = small
    checked = replace(task, max_drop_check=lambda model: False)
    assert correct_outputs(checked, start, np.random.default_rng(0))[0] is start


def test_without_time_no_layer_is_corrected(small: Case) -> None:
    given = replace(small[0], deadline=Deadline(0))
    assert correct_outputs(given, small[1], np.random.default_rng(0)) == (small[1], 0, "time")


def test_ctrl_c_keeps_the_corrections_that_were_accepted(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = replace(small[1])

    def run_pass(self: Any, layers: Sequence[Layer], label: str, steps: Steps) -> None:
        self.best, self.evaluations = better, 7
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Correction, "run_pass", run_pass)
    found, evaluations, stopped = correct_outputs(*small, np.random.default_rng(0))
    assert found is better
    assert (evaluations, stopped) == (7, "interrupt")


def test_outputs_that_are_no_floats_are_not_corrected() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("ArgMax", ["a"], ["y"], keepdims=0, axis=1)]
    weights = {"w": random(4, 4), "b": random(4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n"]}, weights, dtypes={"y": "int64"}))
    task = task_of(model, random(20, 4), random(8, 4), metric="agreement")
    start = reconstruct_layers(task, np.random.default_rng(0))
    assert correct_outputs(task, start, np.random.default_rng(0)) == (start, 0, None)


@pytest.mark.parametrize(
    ("first", "after", "passes"),
    [
        (100.0, [99.0], 1),  # exactly 1 %
        (100.0, [98.9, 98.8], 2),
        (100.0, [98.0, 96.0, 94.0], 3),
        (100.0, [99.5], 1),
        (-100.0, [-101.0], 1),
        (-100.0, [-101.1, -101.2], 2),
        (1e-4, [0.9e-4, 0.9e-4], 2),
        (0.0, [0.0], 1),
    ],
)
def test_another_pass_follows_one_that_gains_more_than_1_percent(
    small: Case,
    monkeypatch: pytest.MonkeyPatch,
    first: float,
    after: list[float],
    passes: int,
) -> None:
    labels, values = [], iter(after)
    monkeypatch.setattr(Task, "fitness", lambda self, model, scoring=None: first)

    def run_pass(self: Any, layers: Sequence[Layer], label: str, steps: Steps) -> None:
        labels.append(label)
        self.fitness = next(values)

    monkeypatch.setattr(module._Correction, "run_pass", run_pass)
    correct_outputs(*small, np.random.default_rng(0))
    assert labels == [f"output correction {index + 1}" for index in range(passes)]


def test_no_pass_follows_when_the_time_is_up(small: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def run_pass(self: Any, layers: Sequence[Layer], label: str, steps: Steps) -> None:
        passes.append(label)
        self.fitness /= 2

    monkeypatch.setattr(module._Correction, "run_pass", run_pass)
    given = replace(small[0], deadline=Deadline(0))
    correct_outputs(given, small[1], np.random.default_rng(0))
    assert len(passes) == 1


def test_each_layer_gets_an_equal_share_of_the_time_left(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, shown = [], []

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        shown.append((label, total))
        yield lambda amount, **where: shown.append((amount, where))

    deadline = Deadline(12, clock=lambda: 0.0)  # no time passes
    correction = correction_of(small, deadline=deadline, progress=progress)
    monkeypatch.setattr(
        correction, "_linearized", lambda layer, deadline: shares.append(deadline.left)
    )
    correction.run_pass([layer_of(small[1], "w1")] * 3, "label", NO_STEPS)
    assert shares == [4, 6, 12]
    at_w1 = {"layer": "w1", "best": correction.fitness, "evaluations": 0}
    assert shown == [("label", 3), (1, at_w1), (1, at_w1), (1, at_w1)]


def test_evaluators_and_activations_share_the_memory(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    for name in ("Evaluators", "LayerActivations"):
        monkeypatch.setattr(
            module, name, lambda samples, resources, share=1.0: shares.append(share)
        )
    correction_of(small)
    assert shares == [0.5, 0.5]


def test_new_codes_must_lower_the_fitness(small: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    correction, tried = correction_of(small), []

    def same(
        best: QuantizedModel, layer: Layer, linearized: Any, share: float, deadline: Deadline
    ) -> QuantizedModel:
        tried.append(share)
        return replace(best)

    monkeypatch.setattr(module, "_corrected", same)
    correction._correct(layer_of(small[1], "w1"), None, NO_DEADLINE)
    assert correction.best is small[1]
    assert tried == [0.5, 2.0]


def test_out_of_time_no_other_codes_are_tried(small: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    correction, tried = correction_of(small), []

    def same(*arguments: Any) -> QuantizedModel:
        tried.append(arguments)
        return small[1]

    monkeypatch.setattr(module, "_corrected", same)
    correction._correct(layer_of(small[1], "w1"), None, Deadline(0))
    assert tried == []
    assert correction.best is small[1]
    assert correction.stopped == "time"


def test_the_first_codes_that_lower_the_fitness_are_accepted(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    correction, tried = correction_of(small), []
    fitness = correction.fitness
    monkeypatch.setattr(Task, "fitness", lambda self, model, scoring=None: fitness / 2)

    def better(
        best: QuantizedModel, layer: Layer, linearized: Any, share: float, deadline: Deadline
    ) -> QuantizedModel:
        tried.append(replace(best))
        return tried[-1]

    monkeypatch.setattr(module, "_corrected", better)
    correction._correct(layer_of(small[1], "w1"), None, NO_DEADLINE)
    assert len(tried) == 1
    assert correction.best is tried[0]
    assert correction.fitness == fitness / 2


@pytest.mark.parametrize(("raised", "accepted"), [(1.01, False), (1.0, True), (np.nan, True)])
def test_codes_that_raise_the_fitness_on_the_search_set_are_not_accepted(
    small: Case, monkeypatch: pytest.MonkeyPatch, raised: float, accepted: bool
) -> None:
    correction = correction_of(small)
    on_search = small[0].fitness(small[1].as_float, small[0].search_set)

    def fitness(self: Task, model: Any, scoring: Any = None) -> float:
        return on_search * raised if scoring is self.search_set else correction.fitness / 2

    monkeypatch.setattr(Task, "fitness", fitness)
    monkeypatch.setattr(module, "_corrected", lambda best, *arguments: replace(best))
    correction._correct(layer_of(small[1], "w1"), None, NO_DEADLINE)
    assert (correction.best is not small[1]) == accepted


# What is affordable, for w1: 4 columns, 3 rows, and 10 samples with 10 outputs each


@pytest.mark.parametrize(("limit", "affordable"), [(3 * 4**2 * (10 + 4), True), (671, False)])
def test_a_layer_may_cost_so_many_products(
    small: Case, monkeypatch: pytest.MonkeyPatch, limit: int, affordable: bool
) -> None:
    monkeypatch.setattr(module, "_LAYER_PRODUCTS", limit)
    assert correction_of(small)._affordable(layer_of(small[1], "w1")) == affordable


@pytest.mark.parametrize(("limit", "affordable"), [(10 * 3 * 10, True), (299, False)])
def test_a_jacobian_may_have_so_many_values(
    small: Case, monkeypatch: pytest.MonkeyPatch, limit: int, affordable: bool
) -> None:
    monkeypatch.setattr(module, "_JACOBIAN_VALUES", limit)
    correction = correction_of(small)
    linearized = correction._linearized(layer_of(small[1], "w1"), Deadline(None))
    assert (linearized is not None) == affordable
    assert correction.evaluations == (4 if affordable else 0)
    assert correction.stopped is None  # it was not for lack of time


def test_a_layer_that_is_too_large_does_not_hide_that_it_has_many_products(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAYER_PRODUCTS", 0)
    assert not correction_of(small)._affordable(layer_of(small[1], "w1"))
    monkeypatch.setattr(module, "_LAYER_PRODUCTS", 2e12)
    monkeypatch.setattr(module, "_JACOBIAN_VALUES", 0)
    assert not correction_of(small)._affordable(layer_of(small[1], "w1"))


def test_a_jacobian_that_takes_too_long_is_a_lack_of_time(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "jacobian_of_bias", lambda *arguments: None)
    correction = correction_of(small)
    assert correction._linearized(layer_of(small[1], "w1"), Deadline(None)) is None
    assert correction.stopped == "time"


def test_a_layer_without_columns_is_left_alone(
    small: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "columns_of_samples", lambda *given: None)
    correction = correction_of(small)
    assert correction._linearized(layer_of(small[1], "w1"), Deadline(None)) is None
    assert correction.stopped is None
