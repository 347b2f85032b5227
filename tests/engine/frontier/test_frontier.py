"""Frontiers: tensors at each layer, computed once, against those of the whole model."""

from typing import Any

import numpy as np
import pytest
from graphs import conv_net, model_of, node, proto, random, rounded, run, split_net
from numpy.typing import NDArray
from onnx import ModelProto, helper

from onnx_evoq.batch import make_batches
from onnx_evoq.engine.frontier import frontier as module
from onnx_evoq.engine.frontier.frontier import Ahead, Frontier
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Network, as_network, fold_batch_norm, input_specs, load, with_codes
from onnx_evoq.setup import Resources

MODEL = fold_batch_norm(load(conv_net()))[0]
NETWORK = as_network(MODEL)
WEIGHTS = ["w1", "w2", "w3"]
IMAGES = random(10, 3, 8, 8)
BATCHES = make_batches({"x": IMAGES}, input_specs(MODEL), 2)
ONE = Resources(workers=1)


def frontier(count: int = 5, limit: int = 10**9, resources: Resources = ONE) -> Frontier:
    return Frontier(BATCHES, resources, limit, count)


def tensor(network: Network, name: str, x: NDArray[np.generic] = IMAGES) -> NDArray[np.generic]:
    """A tensor inside a model, for all samples."""
    model = ModelProto.FromString(proto(network).SerializeToString())
    del model.graph.output[:]
    model.graph.output.append(helper.make_empty_tensor_value_info(name))
    return run(model, {"x": x})[name]


def passed(ahead: Ahead, count: int, *names: str) -> dict[str, NDArray[np.generic]]:
    """Go through all batches, and keep the next frontier; the tensors with those names."""
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    for index in range(count):
        tensors = ahead.of(index)
        ahead.keep(tensors)
        for name in names:
            found[name].append(tensors[name])
    ahead.done()
    return {name: np.concatenate(parts) for name, parts in found.items()}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The types of the nodes of each part that is loaded."""
    parts: list[list[str]] = []
    original = module.open_session

    def counting(network: Network, resources: Resources, name: str) -> Any:
        parts.append([n.op_type for n in network.graph.node])
        return original(network, resources, name)

    monkeypatch.setattr(module, "open_session", counting)
    return parts


def test_each_layer_starts_where_the_last_one_ended(opened: list[list[str]]) -> None:
    walk, found = frontier(), {}
    for index, name in enumerate(["x", "c", "g"]):
        ahead = walk.ahead(NETWORK, WEIGHTS[index:], [name])
        found.update(passed(ahead, 5, name))
    assert opened == [["Conv", "Relu"], ["Conv", "Add", "GlobalAveragePool", "Flatten"]]
    np.testing.assert_array_equal(found["x"], IMAGES)
    for name in ("c", "g"):
        np.testing.assert_allclose(found[name], tensor(NETWORK, name), rtol=1e-5, atol=1e-6)


def test_the_next_frontier_is_written_where_an_earlier_one_was_and_never_over_the_kept_one() -> (
    None
):
    walk, kept = frontier(), []
    for index, name in enumerate(["x", "c", "g"]):
        passed(walk.ahead(NETWORK, WEIGHTS[index:], [name]), 5, name)
        kept.append(walk.known[0])
        before = {key: value.copy() for key, value in walk.known[4].items()}
        store = walk.new_store()
        store.append({"t": np.full(100, 7.0)})
        for key, value in walk.known[4].items():
            np.testing.assert_array_equal(value, before[key])
            assert not np.shares_memory(value, store.blocks[0])
    # What was kept before the last step is free by now.
    assert any(np.shares_memory(value, store.blocks[0]) for value in kept[-2].values())


def test_weights_behind_the_kept_frontier_may_change() -> None:
    walk, codes, network = frontier(), rounded(MODEL, 2), NETWORK
    for index, (weight, name) in enumerate(zip(WEIGHTS, ["x", "c", "g"], strict=True)):
        found = passed(walk.ahead(network, WEIGHTS[index:], [name]), 5, name)
        expected = IMAGES if name == "x" else tensor(network, name)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5)
        network = with_codes(network, {weight: codes[weight]})


def test_wanted_tensors_may_lie_before_or_behind_the_frontier() -> None:
    walk = frontier()
    found = passed(walk.ahead(NETWORK, WEIGHTS[1:], ["b", "logits"]), 5, "b", "logits")
    for name in found:
        np.testing.assert_allclose(found[name], tensor(NETWORK, name), rtol=1e-4, atol=1e-5)


def test_the_next_layer_may_want_what_is_kept_alone(opened: list[list[str]]) -> None:
    walk = frontier()
    passed(walk.ahead(NETWORK, WEIGHTS[1:], ["c"]), 5)
    ahead = walk.ahead(NETWORK, WEIGHTS[1:], ["c"])
    assert len(opened) == 1
    np.testing.assert_allclose(
        passed(ahead, 5, "c")["c"], tensor(NETWORK, "c"), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_more_batches_can_come_later(layers: int, workers: int) -> None:
    walk = frontier(2, resources=Resources(workers=workers))
    for index in range(layers):
        passed(walk.ahead(NETWORK, WEIGHTS[index:], ["xc"[index]]), 2)
    walk.grow(NETWORK, 5)
    assert walk.count == 5
    found = passed(walk.ahead(NETWORK, WEIGHTS[2:], ["g"]), 5, "g")["g"]
    np.testing.assert_allclose(found, tensor(NETWORK, "g"), rtol=1e-5, atol=1e-6)


def test_two_tensors_may_cross_and_all_of_them_are_kept() -> None:
    model = load(split_net())
    x = random(6, 8)
    walk = Frontier(make_batches({"x": x}, input_specs(model), 2), ONE, 10**9, 1)
    network = as_network(model)
    passed(walk.ahead(network, ["w1", "w2"], ["a"]), 1)
    assert set(walk.known[0]) == {"x", "a", "b"}
    passed(walk.ahead(network, ["w2"], ["b"]), 1)
    assert set(walk.known[0]) == {"x", "b", "c"}
    walk.grow(network, 3)
    for index in range(3):
        expected = tensor(network, "c", x[2 * index : 2 * index + 2])
        np.testing.assert_allclose(walk.known[index]["c"], expected, rtol=1e-5)


def test_a_frontier_that_takes_too_much_memory_is_not_kept(
    opened: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_LAYERS_AGAIN", 1)
    size = 10 * 6 * 8 * 8 * 4  # of "c", for all batches
    for limit, starts in ((size, "Conv Add"), (size - 1, "Conv Relu Conv Add")):
        opened.clear()
        walk = frontier(limit=limit)
        passed(walk.ahead(NETWORK, WEIGHTS[1:], ["c"]), 5)
        found = passed(walk.ahead(NETWORK, WEIGHTS[2:], ["g"]), 5, "g")["g"]
        assert " ".join(opened[1]).startswith(starts)
        np.testing.assert_allclose(found, tensor(NETWORK, "g"), rtol=1e-5, atol=1e-6)


def test_after_some_layers_a_large_frontier_is_kept_in_a_file(
    opened: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_LAYERS_AGAIN", 1)
    walk = frontier(limit=0)
    for _ in range(3):
        passed(walk.ahead(NETWORK, WEIGHTS[1:], ["c"]), 5)
    assert opened == [["Conv", "Relu"]] * 2  # the third time "c" is at hand
    assert walk._kept is not None
    assert walk._kept.spilled == 5


def test_of_a_batch_that_ended_early_nothing_is_kept() -> None:
    walk = frontier()
    ahead = walk.ahead(NETWORK, WEIGHTS[1:], ["c"])
    ahead.keep(ahead.of(0))  # and no `done`
    assert set(walk.known[0]) == {"x"}
    found = passed(walk.ahead(NETWORK, WEIGHTS[2:], ["g"]), 5, "g")["g"]
    np.testing.assert_allclose(found, tensor(NETWORK, "g"), rtol=1e-5, atol=1e-6)


def test_a_frontier_with_a_value_that_is_no_array_is_not_kept() -> None:
    nodes = [
        node("SequenceConstruct", ["x"], ["s"]),
        node("Relu", ["x"], ["r"]),
        node("MatMul", ["r", "w"], ["a"]),
        node("SequenceInsert", ["s", "a"], ["t"]),
        node("ConcatFromSequence", ["t"], ["y"], axis=1),
    ]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 7]}, {"w": random(4, 3)}))
    x, network = random(6, 4), as_network(model)
    walk = Frontier(make_batches({"x": x}, input_specs(model), 2), ONE, 10**9, 3)
    found = passed(walk.ahead(network, ["w"], ["r"]), 3, "r")["r"]
    np.testing.assert_array_equal(found, np.maximum(x, 0))
    assert set(walk.known[0]) == {"x"}
    with pytest.raises(ModelError):
        walk.ahead(network, ["w"], ["s"])


def test_a_tensor_that_nothing_computes_is_refused() -> None:
    with pytest.raises(ModelError, match="'nowhere' cannot be computed"):
        frontier().ahead(NETWORK, WEIGHTS, ["nowhere"])
