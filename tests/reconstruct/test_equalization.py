"""Scaling layers: the same outputs from weights that lie better on their grids."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run, task_of
from onnx import ModelProto

from onnx_evoq.model import (
    Model,
    find_weights,
    fold_batch_norm,
    initializer_values,
    load,
    with_codes,
)
from onnx_evoq.reconstruct.equalization import equalize_layers
from onnx_evoq.reconstruct.layer_by_layer import reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value


def folded(dtype: str = "float32") -> Model:
    return fold_batch_norm(load(conv_net(dtype=dtype)))[0]


def conv_task(**options: Any) -> Task:
    return task_of(folded(), random(24, 3, 8, 8, seed=1), random(8, 3, 8, 8, seed=2), **options)


def chain(middle: float = 1.0) -> ModelProto:
    """x (n, 6) -> three Gemms with Relus between -> y (n, 4); the range of the second is set."""
    weights = {"w1": random(6, 8), "w2": random(8, 8, seed=1), "w3": random(8, 4, seed=2)}
    weights["w2"] *= middle / abs(weights["w2"]).max()
    nodes = [
        node("Gemm", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w2"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("Gemm", ["d", "w3"], ["y"]),
    ]
    return model_of(nodes, {"x": ["n", 6]}, {"y": ["n", 4]}, weights)


def chain_task(middle: float = 1.0, **options: Any) -> Task:
    return task_of(load(chain(middle)), random(40, 6, seed=1), random(16, 6, seed=2), **options)


def equalized(task: Task) -> Task:
    """The balanced task; there must be one."""
    found = equalize_layers(task, np.random.default_rng(0))
    assert found is not None
    return found


def factors(task: Task, name: str) -> np.ndarray:
    """What each entry of a weight was multiplied with."""
    (before,), (after,) = (
        [weight.values for weight in weights if weight.name == name]
        for weights in (task.weights, equalized(task).weights)
    )
    return np.asarray(after / before)


@pytest.mark.parametrize(
    ("task", "shape"), [(conv_task(), (9, 3, 8, 8)), (chain_task(1.1), (9, 6))], ids=["conv", "mlp"]
)
def test_the_outputs_stay_the_same(task: Task, shape: tuple[int, ...]) -> None:
    inputs = {"x": random(*shape, seed=3)}
    (before,), (after,) = (run(m, inputs).values() for m in (task.model, equalized(task).model))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_something_is_scaled() -> None:
    task = chain_task(1.1)
    assert any((factors(task, name) != 1).any() for name in ("w1", "w2", "w3"))


def test_all_channels_of_a_layer_are_scaled_alike() -> None:
    for name in ("w1", "w2", "w3"):
        each = factors(chain_task(1.1), name)
        np.testing.assert_allclose(each, each.flat[0], rtol=1e-6)


def test_scales_are_at_most_half_an_octave() -> None:
    first = factors(chain_task(1.1), "w1").flat[0]  # its input keeps its scale
    assert 2**-0.5 - 1e-6 <= first <= 2**0.5 + 1e-6


def test_inputs_and_outputs_of_the_model_keep_their_scale() -> None:
    product = np.prod([factors(chain_task(1.1), name).flat[0] for name in ("w1", "w2", "w3")])
    assert product == pytest.approx(1)


def test_the_task_has_the_weights_of_its_model() -> None:
    found = equalized(conv_task())
    assert [weight.name for weight in found.weights] == ["w1", "w2", "w3"]
    values = {weight.name: weight.values for weight in find_weights(found.model)[0]}
    for weight in found.weights:
        np.testing.assert_array_equal(weight.values, values[weight.name])


def test_what_is_kept_is_not_touched() -> None:
    task = chain_task(1.1, keep=["w2"])
    found = equalize_layers(task, np.random.default_rng(0))
    changed = task.model if found is None else found.model
    (before,), (after,) = (initializer_values(m, ["w2"]).values() for m in (task.model, changed))
    np.testing.assert_array_equal(after, before)


def test_the_bias_of_what_is_kept_is_not_touched() -> None:
    task = task_of(load(mlp()), random(40, 4, seed=1), random(8, 4, seed=2), keep=["first"])
    assert equalize_layers(task, np.random.default_rng(0)) is None  # nothing else has a scale


def test_nothing_else_of_the_task_changes() -> None:
    task = chain_task(1.1)
    assert replace(equalized(task), model=task.model, weights=task.weights) == task


def test_the_model_itself_stays_as_it_is() -> None:
    task = chain_task(1.1)
    before = task.model.SerializeToString()
    equalize_layers(task, np.random.default_rng(0))
    assert task.model.SerializeToString() == before


def test_a_range_just_above_a_power_of_two_is_brought_below() -> None:
    task = chain_task(1.05, bits={"w1": 8, "w2": 3, "w3": 8})

    def error(task: Task, reference: Task) -> float:
        found = reconstruct_layers(task, np.random.default_rng(0))
        model = with_codes(found.model, found.quantized)
        return model_value(model, reference.heldout_set)

    assert error(equalized(task), task) < error(task, task)


def without_scales() -> Task:
    nodes = [node("Gemm", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)}))
    return task_of(model, random(20, 4), random(8, 4))


@pytest.mark.parametrize(
    "make",
    [without_scales, lambda: conv_task(deadline=Deadline(0))],
    ids=["no scales", "no time"],
)
def test_there_may_be_nothing_to_scale(make: Callable[[], Task]) -> None:
    assert equalize_layers(make(), np.random.default_rng(0)) is None


def test_a_model_in_float16_is_balanced_too() -> None:
    inputs = [random(24, 3, 8, 8, seed=seed, dtype="float16") for seed in (1, 2, 3)]
    task = task_of(folded("float16"), *inputs[:2])
    (before,), (after,) = (
        run(m, {"x": inputs[2]}).values() for m in (task.model, equalized(task).model)
    )
    np.testing.assert_allclose(after, before, atol=0.05)


def test_outputs_may_be_integers() -> None:
    nodes = [
        node("Gemm", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "w2"], ["c"]),
        node("ArgMax", ["c"], ["y"], axis=1, keepdims=0),
    ]
    weights = {"w1": random(4, 4), "w2": random(4, 4, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n"]}, weights, dtypes={"y": "int64"}))
    found = equalized(task_of(model, random(20, 4), random(8, 4), metric="agreement"))
    (before,), (after,) = (run(m, {"x": random(9, 4)}).values() for m in (model, found.model))
    np.testing.assert_array_equal(after, before)
