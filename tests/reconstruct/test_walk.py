"""Samples that come to a layer: how many, which of them judge, and in what order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, random, task_of

from onnx_evoq.engine.samples import Around
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Model, as_network, find_layers, fold_batch_norm, load, same
from onnx_evoq.quantize import Effort
from onnx_evoq.reconstruct import walk as module
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task

Taken = list[tuple[int, int]]  # samples of the search set, and those that judge, at each layer


def folded() -> Model:
    return fold_batch_norm(load(conv_net()))[0]


def reconstructed(task: Task) -> QuantizedModel:
    return reconstruct_layers(task, np.random.default_rng(0))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    found, original = Taken(), module.gather_samples

    def recorded(sources: Any, around: Around, *arguments: Any, **options: Any) -> Any:
        counts = [batch.count for batch in around.batches]
        judges = sum(counts[index] for index in around.heldout if index < len(counts))
        found.append((sum(counts) - judges, judges))
        return original(sources, around, *arguments, **options)

    monkeypatch.setattr(module, "gather_samples", recorded)
    return found


def test_some_batches_of_both_sets_come_first() -> None:
    batches, heldout = module._interleaved(list("abcde"), list("xyz"))
    assert "".join(batches) == "xabycdze"
    assert heldout == {0, 3, 6}


def test_the_rest_of_the_longer_set_comes_last() -> None:
    batches, heldout = module._interleaved(list("abc"), list("vwxyz"))
    assert "".join(batches) == "vabwcxyz"
    assert heldout == {0, 3, 5, 6, 7}
    assert module._interleaved(list("abc"), []) == (list("abc"), frozenset())


def test_judges_come_with_the_samples(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_SAMPLES", 4)
    monkeypatch.setattr(module, "_POSITIONS_PER_TAKEN", 4)
    task = task_of(folded(), random(40, 3, 8, 8), random(16, 3, 8, 8, seed=1), size=4)
    reconstruct_layers(task, np.random.default_rng(0), Effort(positions=64))
    assert taken == [(4, 4), (4, 4), (40, 16)]


def test_few_samples_serve_layers_of_many_positions(
    taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 64 positions per sample, 4 samples are enough for the convolutions; the last layer has one.
    monkeypatch.setattr(module, "_FIRST_SAMPLES", 4)
    monkeypatch.setattr(module, "_POSITIONS_PER_TAKEN", 4)
    inputs = random(40, 3, 8, 8)
    task = task_of(folded(), inputs, inputs, size=4)
    found = reconstruct_layers(task, np.random.default_rng(0), Effort(positions=64))
    assert taken == [(4, 4), (4, 4), (40, 40)]
    assert len(found.layers) == 3


def test_a_single_heldout_sample_cannot_judge() -> None:
    task = task_of(folded(), random(24, 3, 8, 8), random(1, 3, 8, 8, seed=1), size=4)
    alone = replace(task, heldout_set=task.search_set)
    assert same(reconstructed(task).as_float, reconstructed(alone).as_float)


@pytest.mark.parametrize(("one_set", "judges"), [(False, 12), (True, 0)])
def test_heldout_samples_judge_unless_they_are_those_of_the_search_set(
    taken: Taken, monkeypatch: pytest.MonkeyPatch, one_set: bool, judges: int
) -> None:
    monkeypatch.setattr(module, "_MOST_JUDGES", 12)
    task = task_of(folded(), random(24, 3, 8, 8), random(16, 3, 8, 8, seed=1), size=4)
    if one_set:
        task = replace(task, heldout_set=task.search_set)
    reconstructed(task)
    assert taken == [(24, judges)] * 3


def test_memory_and_progress_are_shared_by_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, shown, original = [], [], module.Frontier

    def recorded(batches: Any, resources: Any, limit: int, count: int) -> Any:
        limits.append(limit)
        return original(batches, resources, limit, count)

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        shown.append((label, total))
        yield lambda amount, layer: shown.append((amount, layer))

    monkeypatch.setattr(module, "Frontier", recorded)
    inputs = random(8, 4)
    reconstructed(task_of(load(mlp()), inputs, inputs, progress=progress, memory=1000))
    assert limits == [125, 125]
    assert shown == [("reconstructing", 2), (1, "first"), (1, "second")]


def test_where_runs_are_slow_fewer_samples_are_run(taken: Taken) -> None:
    inputs = random(40, 4)
    # Half of 160 seconds is time for 20 samples of 4 runs each.
    task = task_of(load(mlp()), inputs, inputs, size=4, deadline=Deadline(160, lambda: 0.0))
    reconstructed(replace(task, seconds=1.0))
    reconstructed(task)
    assert taken == [(20, 4), (20, 4), (40, 40), (40, 40)]


def test_the_positions_of_a_sample_are_those_of_its_outputs() -> None:
    task = task_of(folded(), random(24, 3, 8, 8), random(8, 3, 8, 8, seed=1), size=4)
    layers = find_layers(task.model, task.weights)
    found = module.positions_of_a_sample(task, as_network(task.model), layers)
    assert found == {"w1": 64, "w2": 64, "w3": 1}


@pytest.mark.parametrize("failing", ["quantized", "float"])
def test_where_no_more_samples_can_come_a_layer_has_none_and_the_next_ones_go_on(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_SAMPLES", 4)
    failed, original = [], module.Frontier.grow

    def grow(self: Any, network: Any, count: int) -> None:
        name = "float" if self is walk._float else "quantized"
        if name == failing and not failed:
            failed.append(self)
            raise ModelError("a tensor of a later batch is no array")
        original(self, network, count)

    monkeypatch.setattr(module.Frontier, "grow", grow)
    task = task_of(folded(), random(24, 3, 8, 8), random(8, 3, 8, 8, seed=1), size=4)
    layers, model = find_layers(task.model, task.weights), as_network(task.model)
    walk = module.Walk(task, model, 24)
    found = [
        walk.samples(model, index, layers[weight.name], 400, np.random.default_rng(0))
        for index, weight in enumerate(task.weights)
    ]
    assert failed
    assert [each is None for each in found] == [True, False, False]
    assert walk._quantized.count == walk._float.count
