"""The tensors at a cut, and how few runs they cost as the cut moves through a model."""

from typing import Any

import numpy as np
import onnx
import pytest
from graphs import conv_net, mlp, random, run, split_net
from onnx import ModelProto, helper

from onnx_evoq.batch import make_batches
from onnx_evoq.engine import activation_cache as module
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.model import cut_at, fold_batch_norm, input_specs, load, replace_weights
from onnx_evoq.setup import Resources

MODEL = load(mlp())
X = random(10, 4)
BATCHES = make_batches({"x": X}, input_specs(MODEL), 4)

CONV_NET, _ = fold_batch_norm(load(conv_net()))
IMAGES = random(6, 3, 8, 8)
IMAGE_BATCHES = make_batches({"x": IMAGES}, input_specs(CONV_NET), 4)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The types of the nodes of each model that is loaded."""
    prefixes: list[list[str]] = []
    original = module.open_session

    def counting(model: ModelProto, resources: Resources, name: str) -> Any:
        prefixes.append([n.op_type for n in model.graph.node])
        return original(model, resources, name)

    monkeypatch.setattr(module, "open_session", counting)
    return prefixes


def tensor(model: ModelProto, feed: np.ndarray, name: str) -> np.ndarray:
    """A tensor inside a model."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.output[:]
    changed.graph.output.append(helper.make_empty_tensor_value_info(name))
    return np.asarray(run(changed, {"x": feed})[name])


def crossing(cache: ActivationCache, model: ModelProto, *weights: str) -> dict[str, np.ndarray]:
    """The tensors at a cut, for all samples."""
    parts = list(cache.crossing(model, cut_at(model, *weights)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_nothing_crosses_a_cut_at_the_first_layer(opened: list[list[str]]) -> None:
    cache = ActivationCache(BATCHES, Resources())
    assert list(cache.crossing(MODEL, cut_at(MODEL, "first"))) == [{}, {}, {}]
    assert opened == []


def test_the_tensors_at_a_cut_are_those_of_the_whole_model() -> None:
    found = crossing(ActivationCache(BATCHES, Resources()), MODEL, "second")
    assert list(found) == ["c"]
    np.testing.assert_allclose(found["c"], tensor(MODEL, X, "c"), rtol=1e-5)


def test_the_same_cut_is_computed_once(opened: list[list[str]]) -> None:
    cache = ActivationCache(BATCHES, Resources())
    first = cache.crossing(MODEL, cut_at(MODEL, "second"))
    again = replace_weights(MODEL, {"second": random(3, 6, seed=9)})  # behind the cut
    assert cache.crossing(again, cut_at(again, "second")) is first
    assert len(opened) == 1


def test_a_later_cut_starts_from_the_last_one(opened: list[list[str]]) -> None:
    cache = ActivationCache(IMAGE_BATCHES, Resources())
    crossing(cache, CONV_NET, "w2")
    found = crossing(cache, CONV_NET, "w3")
    assert opened == [["Conv", "Relu"], ["Conv", "Add", "GlobalAveragePool", "Flatten"]]
    np.testing.assert_allclose(found["g"], tensor(CONV_NET, IMAGES, "g"), rtol=1e-5)


def test_a_weight_at_the_last_cut_may_have_changed(opened: list[list[str]]) -> None:
    cache = ActivationCache(IMAGE_BATCHES, Resources())
    crossing(cache, CONV_NET, "w2")
    changed = replace_weights(CONV_NET, {"w2": random(6, 6, 3, 3, seed=5)})
    found = crossing(cache, changed, "w3")
    assert [nodes[0] for nodes in opened] == ["Conv", "Conv"]
    assert len(opened[1]) == 4
    np.testing.assert_allclose(found["g"], tensor(changed, IMAGES, "g"), rtol=1e-4)


def test_a_change_before_the_last_cut_starts_anew(opened: list[list[str]]) -> None:
    cache = ActivationCache(IMAGE_BATCHES, Resources())
    crossing(cache, CONV_NET, "w2")
    changed = replace_weights(CONV_NET, {"w1": random(6, 3, 3, 3, seed=5)})
    found = crossing(cache, changed, "w3")
    assert len(opened[1]) == 6
    np.testing.assert_allclose(found["g"], tensor(changed, IMAGES, "g"), rtol=1e-4)


def test_a_cut_before_the_last_one_starts_anew(opened: list[list[str]]) -> None:
    cache = ActivationCache(IMAGE_BATCHES, Resources())
    crossing(cache, CONV_NET, "w3")
    found = crossing(cache, CONV_NET, "w2")
    assert [len(nodes) for nodes in opened] == [6, 2]
    np.testing.assert_allclose(found["c"], tensor(CONV_NET, IMAGES, "c"), rtol=1e-5)


def test_all_inputs_of_a_later_part_are_kept() -> None:
    model = load(split_net())
    x = random(5, 8)
    cache = ActivationCache(make_batches({"x": x}, input_specs(model), 3), Resources())
    crossing(cache, model, "w1")
    found = crossing(cache, model, "w2")
    for name, values in found.items():
        np.testing.assert_allclose(values, tensor(model, x, name), rtol=1e-5)


@pytest.mark.parametrize(("share", "limit"), [(1.0, 500), (0.5, 250)])
def test_a_cut_may_use_half_of_its_share_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, share: float, limit: int
) -> None:
    limits = []
    monkeypatch.setattr(module, "TensorStore", lambda limit: limits.append(limit) or [])
    monkeypatch.setattr(module, "cache_memory", lambda resources: resources.memory)
    ActivationCache(BATCHES, Resources(memory=1000), share).crossing(MODEL, cut_at(MODEL, "second"))
    assert limits == [limit]


def test_without_a_share_a_cache_may_use_all_of_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = []
    monkeypatch.setattr(module, "TensorStore", lambda limit: limits.append(limit) or [])
    monkeypatch.setattr(module, "cache_memory", lambda resources: resources.memory)
    ActivationCache(BATCHES, Resources(memory=1000)).crossing(MODEL, cut_at(MODEL, "second"))
    assert limits == [500]
