"""The columns and targets of a layer, above all of a layer whose output goes into a sum."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, task_of
from onnx import NodeProto

from onnx_evoq.engine import layer_samples as samples
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.layer_samples import gather_samples
from onnx_evoq.model import Layer, Model, find_layers, load, replace_weights
from onnx_evoq.quantize import Activation, LayerSamples
from onnx_evoq.reconstruct import layer_by_layer as reconstruction
from onnx_evoq.reconstruct.layer_by_layer import reconstruct_layers

INPUTS = random(40, 5, 8)


def network(nodes: Sequence[NodeProto]) -> Model:
    """x (n, 5, 8) -> y (n, 5, 6), with a bias and two weights."""
    weights = {"w": random(8, 6), "b": random(6, seed=1), "v": random(8, 6, seed=2)}
    return load(model_of(nodes, {"x": ["n", 5, 8]}, {"y": ["n", 5, 6]}, weights))


def residual(activation: str = "Relu") -> Model:
    """An activation behind x v + (x w + b)."""
    nodes = [
        node("MatMul", ["x", "v"], ["o"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["s"]),
        node("Add", ["o", "s"], ["t"]),
        node(activation, ["t"], ["y"]),
    ]
    return network(nodes)


def gathered(model: Model, so_far: Model, name: str = "w") -> LayerSamples:
    """The samples of a weight."""
    task = task_of(model, INPUTS, INPUTS)
    (weight,) = (weight for weight in task.weights if weight.name == name)
    caches = [ActivationCache(task.search_set.batches, task.resources) for _ in range(2)]
    layer = find_layers(model, task.weights)[name]
    found = gather_samples(
        model, so_far, weight, layer, caches, task.search_set.batches, np.random.default_rng(0)
    )
    assert found is not None
    return found


def product(name: str, model: Model) -> np.ndarray:
    (weight,) = (weight for weight in task_of(model, INPUTS, INPUTS).weights if weight.name == name)
    return INPUTS.reshape(-1, 8) @ weight.values


def test_behind_a_sum_it_is_the_sum_that_counts() -> None:
    model = residual()
    other = replace_weights(model, {"v": random(8, 6, seed=3)})  # what became of the other branch
    samples, x = gathered(model, other), INPUTS.reshape(-1, 8)
    ours, added = product("v", other), random(6, seed=1)
    wanted = product("v", model) + product("w", model) + added
    weight, bias = random(1, 6, 8, seed=4), random(1, 6, seed=5)
    total = x @ weight[0].T + bias + ours
    kept = np.where(wanted < 0, np.minimum(total, 0), wanted) - ours
    found = samples.moments_behind_activation(
        weight.astype(np.float64), bias.astype(np.float64)
    ).moments()
    cross = (kept - kept.mean(axis=0)).T @ (x - x.mean(axis=0)) / len(x)
    assert samples.activation == Activation()
    np.testing.assert_allclose(found.t_mean[0], kept.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.cross[0], cross, atol=1e-4)


@pytest.mark.parametrize("name", ["w", "v"])
def test_behind_a_sum_over_which_a_branch_is_spread_nothing_is_hidden(name: str) -> None:
    nodes = [
        node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        node("MatMul", ["m", "v"], ["o"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["s"]),
        node("Add", ["o", "s"], ["t"]),
        node("Relu", ["t"], ["y"]),
    ]
    model = network(nodes)
    samples, rows = gathered(model, model, name), (1, 6)
    others = samples.moments_behind_activation(
        random(*rows, 8, seed=4).astype(np.float64), np.ones(rows)
    )
    np.testing.assert_array_equal(others.moments().cross, samples.sums.moments().cross)


def test_without_an_activation_nothing_is_hidden() -> None:
    model = residual("Sigmoid")
    assert gathered(model, model).activation is None


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = residual()
    monkeypatch.setattr(samples, "_KEPT_VALUES", 80 * (8 + 2 * 6))  # two of five positions
    assert sum(chunk.columns.shape[1] for chunk in gathered(model, model)._chunks) == 80


def test_an_activation_behind_a_residual_sum_lowers_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = task_of(residual(), INPUTS, random(200, 5, 8, seed=7), bits=4)

    def error() -> float:
        return task.fitness(reconstruct_layers(task, np.random.default_rng(0)).emitted)

    def in_plain_sight(*args: Any) -> dict[str, Layer]:
        return {name: replace(layer, activation=None) for name, layer in find_layers(*args).items()}

    with_activations = error()
    monkeypatch.setattr(reconstruction, "find_layers", in_plain_sight)
    assert with_activations < 0.95 * error()
