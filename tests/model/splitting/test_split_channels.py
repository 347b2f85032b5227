"""Models with split channels compute the same outputs as before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import fire, flat, mlp, model_of, node, random
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from onnx_evoq.model import (
    find_weights,
    fold_batch_norm,
    input_specs,
    load,
    serialize,
    splittable_layers,
)
from onnx_evoq.model.files.validity import check_valid
from onnx_evoq.model.splitting.split_channels import (
    ChannelReader,
    bytes_per_copy,
    channel_readers,
    outlier_orders,
    splits_from_shares,
    with_split_channels,
)
from onnx_evoq.score import Session

Weights = Mapping[str, NDArray[np.generic]]
Feed = Mapping[str, NDArray[np.generic]]


def values_of(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """What the initializers hold."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def random_splits(model: ModelProto, rng: np.random.Generator) -> dict[str, list[int]]:
    """Some channels of each splittable layer, at least one."""
    return {
        name: rng.permutation(layer.channels)[: rng.integers(1, layer.channels + 1)].tolist()
        for name, layer in splittable_layers(model)[0].items()
    }


def difference(one: ModelProto, other: ModelProto, feed: Feed, *, reference: bool = True) -> float:
    """The largest difference of the outputs, relative to the largest output."""

    def relative(before: Feed, after: Feed) -> float:
        assert before.keys() == after.keys()
        return max(
            float(np.abs(after[name] - value).max() / np.abs(value).max())
            for name, value in before.items()
        )

    sessions = [Session(serialize(model)).run(feed) for model in (one, other)]
    if not reference:
        return relative(*sessions)
    names = [output.name for output in one.graph.output]
    references = [
        dict(zip(names, ReferenceEvaluator(model).run(None, dict(feed)), strict=True))
        for model in (one, other)
    ]
    return max(relative(*sessions), relative(*references))


def feed_of(model: ModelProto, rng: np.random.Generator, batch: int = 2) -> Feed:
    """Normal numbers for each input."""
    return {
        spec.name: rng.standard_normal([size or batch for size in spec.shape]).astype(spec.dtype)
        for spec in input_specs(model)
    }


def check_same_outputs(
    model: ModelProto, *, seeds: int = 2, within: float = 1e-5, reference: bool = True
) -> None:
    """Random splits of all layers that allow it must not change what a loaded model computes."""
    check_valid(model)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        splits = random_splits(model, rng)
        split = with_split_channels(model, splits)
        check_valid(split)
        assert split.ByteSize() > model.ByteSize()
        feed = feed_of(model, rng)
        by_reference = reference and seed == 0  # it is slow
        assert difference(model, split, feed, reference=by_reference) < within


def net(
    nodes: Sequence[NodeProto],
    weights: Weights,
    x: Sequence[int | str] = ("n", 3, 6, 6),
    opset: int = 17,
    dtype: str = "float32",
) -> ModelProto:
    """x -> nodes -> y, loaded."""
    typed = {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in weights.items()
    }
    return load(model_of(nodes, {"x": x}, {"y": None}, typed, opset=opset, dtype=dtype))


def between(
    nodes: Sequence[NodeProto], weights: Weights, columns: int = 4, opset: int = 17
) -> ModelProto:
    """x (n, 3, 6, 6) -> Conv w1 -> a (n, 4, 6, 6) -> nodes -> b (n, columns, ?, ?) -> Conv w2."""
    first = node("Conv", ["x", "w1", "b1"], ["a"])
    last = node("Conv", ["b", "w2", "b2"], ["y"])
    own = {
        "w1": random(4, 3, 1, 1), "b1": random(4, seed=1),
        "w2": random(5, columns, 1, 1, seed=2), "b2": random(5, seed=3),
    }  # fmt: skip
    return net([first, *nodes, last], {**own, **weights}, opset=opset)


def one(op_type: str, *others: str, **attributes: object) -> list[NodeProto]:
    """a -> b through one node."""
    return [node(op_type, ["a", *others], ["b"], **attributes)]


NORM = {
    "scale": random(4, seed=4), "offset": random(4, seed=5), "mean": random(4, seed=6),
    "var": 0.5 + random(4, seed=7) ** 2,
}  # fmt: skip

# name: nodes from a to b, their constants
BETWEEN: dict[str, tuple[list[NodeProto], Weights]] = {
    **{
        op_type: (one(op_type), {})
        for op_type in (
            "Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Softplus", "Elu",
            "Selu", "Identity", "Dropout", "Abs", "Neg", "Erf", "Exp", "GlobalAveragePool",
            "GlobalMaxPool",
        )
    },
    "Clip": (one("Clip", "zero", "six"), {"zero": np.float32(0), "six": np.float32(6)}),
    "MaxPool": (one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), {}),
    "AveragePool": (one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), {}),
    "ReduceMean": (one("ReduceMean", axes=[2, -1]), {}),
    "ReduceSum": (one("ReduceSum", "axes"), {"axes": np.array([-1, -2])}),
    "PRelu per channel": (one("PRelu", "p"), {"p": random(4, 1, 1)}),
    "PRelu with one slope": (one("PRelu", "p"), {"p": random(1)}),
    "BatchNormalization": (one("BatchNormalization", *NORM), NORM),
    "InstanceNormalization": (one("InstanceNormalization", "scale", "offset"), NORM),
    "Add per channel": (one("Add", "c"), {"c": random(4, 1, 1, seed=9)}),
    "Add per position": (one("Add", "c"), {"c": random(6, 6, seed=9)}),
    "Add per channel and position": (one("Add", "c"), {"c": random(1, 4, 6, 6, seed=9)}),
    "constant minus": ([node("Sub", ["c", "a"], ["b"])], {"c": random(4, 1, 1, seed=9)}),
    "SiLU": ([node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["b"])], {}),
    "Gelu by Erf": (
        [
            node("Div", ["a", "root"], ["c"]),
            node("Erf", ["c"], ["d"]),
            node("Add", ["d", "one"], ["e"]),
            node("Mul", ["a", "e"], ["f"]),
            node("Mul", ["f", "half"], ["b"]),
        ],
        {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)},
    ),
    "gate by its own mean": (
        [node("GlobalAveragePool", ["a"], ["m"]), node("Mul", ["m", "a"], ["b"])], {},
    ),
    "square": ([node("Mul", ["a", "a"], ["b"])], {}),
    "constant for two nodes": (
        [node("Mul", ["a", "c"], ["d"]), node("Add", ["d", "c"], ["b"])],
        {"c": random(4, 1, 1, seed=9)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BETWEEN)
def test_a_split_keeps_the_outputs_through(name: str) -> None:
    model = between(*BETWEEN[name])
    assert set(splittable_layers(model)[0]) == {"w1"}
    check_same_outputs(model)


def test_a_split_keeps_the_outputs_through_gelu_and_axes_as_an_input() -> None:
    nodes = [node("Gelu", ["a"], ["g"]), node("ReduceMean", ["g", "axes"], ["b"])]
    model = between(nodes, {"axes": np.array([2, 3])}, opset=20)
    assert set(splittable_layers(model)[0]) == {"w1"}
    check_same_outputs(model)


def test_other_readers_of_a_constant_per_channel_keep_the_old_one() -> None:
    nodes = [
        node("Add", ["a", "c"], ["b"]),
        node("Conv", ["b", "w2"], ["d"]),
        node("Add", ["d", "c"], ["y"]),
    ]
    weights = {"w1": random(4, 3, 1, 1), "c": random(4, 1, 1, seed=1), "w2": random(4, 4, 1, 1)}
    model = net([node("Conv", ["x", "w1"], ["a"]), *nodes], weights)
    check_same_outputs(model)
    after = values_of(with_split_channels(model, {"w1": [3]}))
    assert after["c"].shape == (4, 1, 1)
    np.testing.assert_array_equal(after["c_expanded"], after["c"][[0, 1, 2, 3, 3]])


def test_the_last_split_reader_of_a_constant_changes_it_in_place() -> None:
    nodes, weights = BETWEEN["constant for two nodes"]
    after = values_of(with_split_channels(between(nodes, weights), {"w1": [0]}))
    assert set(after) == {"w1", "b1", "c", "c_expanded", "w2", "b2"}
    np.testing.assert_array_equal(after["c"], after["c_expanded"])


def chain(op_type: str, *, bias: bool, dtype: str = "float32", **attributes: object) -> ModelProto:
    """x -> three layers with Relu between them -> y."""
    shapes = {
        "Conv": [(6, 3, 3, 3), (5, 6, 3, 3), (4, 5, 1, 1)],
        "ConvTranspose": [(3, 6, 3, 3), (6, 5, 3, 3), (5, 4, 1, 1)],
        "Gemm": [(3, 6), (6, 5), (5, 4)],
        "MatMul": [(3, 6), (6, 5), (5, 4)],
    }[op_type]
    if attributes.get("transB"):
        shapes = [shape[::-1] for shape in shapes]
    nodes, weights, at = [], {}, "x"
    for k, (shape, channels) in enumerate(zip(shapes, (6, 5, 4), strict=True)):
        weights[f"w{k}"] = 0.5 * random(*shape, seed=k)
        names = [at, f"w{k}"]
        if bias:
            weights[f"b{k}"] = random(channels, seed=10 + k)
            names += [] if op_type == "MatMul" else [f"b{k}"]
        nodes.append(node(op_type, names, [f"a{k}"], **attributes))
        at = f"a{k}"
        if bias and op_type == "MatMul":
            nodes.append(node("Add", [f"b{k}", at], [f"s{k}"]))
            at = f"s{k}"
        nodes.append(node("Relu", [at], [f"r{k}" if k < 2 else "y"]))
        at = f"r{k}"
    x = {"Conv": ("n", 3, 6, 6), "ConvTranspose": ("n", 3, 2, 2)}.get(op_type, ("n", 3))
    return net(nodes, weights, x, dtype=dtype)


CHAINS: dict[str, tuple[str, dict[str, object]]] = {
    "Conv": ("Conv", {}),
    "Conv with strides": ("Conv", {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "ConvTranspose": ("ConvTranspose", {"strides": [2, 2]}),
    "Gemm": ("Gemm", {"alpha": 0.5, "beta": 2.0}),
    "Gemm, transposed": ("Gemm", {"transB": 1}),
    "MatMul": ("MatMul", {}),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CHAINS)
def test_a_middle_layer_is_split_in_its_rows_and_its_columns(name: str, bias: bool) -> None:
    op_type, attributes = CHAINS[name]
    model = chain(op_type, bias=bias, **attributes)
    assert set(splittable_layers(model)[0]) == {"w0", "w1"}
    check_same_outputs(model, seeds=3)


@pytest.mark.parametrize("op_type", ["Conv", "Gemm", "MatMul"])
def test_float16_stays_float16(op_type: str) -> None:
    model = chain(op_type, bias=True, dtype="float16")
    check_same_outputs(model, within=2e-3)
    after = values_of(with_split_channels(model, {"w0": [0, 5], "w1": [1]}))
    assert {array.dtype for array in after.values()} == {np.dtype(np.float16)}


@pytest.mark.parametrize("bias", [(6,), (1, 6), (1,), (), (1, 1)])
def test_a_bias_of_a_gemm_may_broadcast(bias: tuple[int, ...]) -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("Gemm", ["a", "v"], ["y"])]
    weights = {"w": random(3, 6), "b": random(*bias), "v": random(6, 2)}
    model = net(nodes, weights, ("n", 3))
    check_same_outputs(model)


def test_a_bias_that_layers_share_is_copied_for_each() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("Gemm", ["a", "v", "b"], ["y"])]
    model = net(nodes, {"w": random(3, 4), "b": random(4), "v": random(4, 4)}, ("n", 3))
    assert set(splittable_layers(model)[0]) == {"w"}
    check_same_outputs(model)


def test_layers_on_tokens_can_be_split() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "position"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("MatMul", ["c", "v"], ["d"]),
        node("Relu", ["d"], ["e"]),
        node("ReduceMean", ["e"], ["f"], axes=[-2], keepdims=0),
        node("Gemm", ["f", "u"], ["y"]),
    ]
    weights = {
        "w": random(3, 6), "position": random(5, 6), "v": random(6, 4), "u": random(4, 2),
    }  # fmt: skip
    model = net(nodes, weights, ("n", 5, 3))
    assert set(splittable_layers(model)[0]) == {"w", "v"}
    check_same_outputs(model)


@pytest.mark.parametrize("squeeze", ["Flatten", "Squeeze", "ReduceMean"])
def test_a_head_reads_pooled_channels(squeeze: str) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("GlobalAveragePool", ["a"], ["p"])]
    nodes += {
        "Flatten": [node("Flatten", ["p"], ["f"])],
        "Squeeze": [node("Squeeze", ["p", "axes"], ["f"])],
        "ReduceMean": [node("ReduceMean", ["a"], ["f"], axes=[2, 3], keepdims=0)],
    }[squeeze]
    nodes.append(node("Gemm", ["f", "v"], ["y"]))
    model = net(nodes, {"w": random(4, 3, 3, 3), "v": random(4, 2), "axes": np.array([2, 3])})
    assert set(splittable_layers(model)[0]) == {"w"}
    check_same_outputs(model)


@pytest.mark.parametrize("transposed", [0, 1])
def test_after_a_flatten_whole_blocks_are_copied(transposed: int) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "v"], ["y"], transB=transposed),
    ]
    shape = (2, 16) if transposed else (16, 2)
    model = net(nodes, {"w": random(4, 3, 3, 3), "v": random(*shape)})
    check_same_outputs(model)
    after = values_of(with_split_channels(model, {"w": [1]}))["v"]
    columns = after if transposed else after.T
    np.testing.assert_array_equal(columns[:, 16:], columns[:, 4:8])


def test_after_a_concat_copies_lie_after_the_channels_of_their_layer() -> None:
    nodes = [
        node("Conv", ["x", "w1"], ["a"]),
        node("Conv", ["x", "w2"], ["b"]),
        node("Relu", ["a"], ["r"]),
        node("Concat", ["r", "b", "a"], ["c"], axis=1),
        node("Mul", ["c", "scale"], ["d"]),
        node("MaxPool", ["d"], ["e"], kernel_shape=[3, 3], strides=[3, 3]),
        node("Flatten", ["e"], ["f"]),
        node("Gemm", ["f", "v"], ["y"]),
    ]
    weights = {
        "w1": random(2, 3, 1, 1), "w2": random(3, 3, 1, 1), "scale": random(7, 1, 1),
        "v": random(28, 2),
    }  # fmt: skip
    model = net(nodes, weights)
    assert set(splittable_layers(model)[0]) == {"w1", "w2"}
    check_same_outputs(model, seeds=4)
    scale = values_of(with_split_channels(model, {"w2": [2, 0], "w1": [1]}))["scale"]
    order = [0, 1, 1, 2, 3, 4, 4, 2, 5, 6, 6]
    np.testing.assert_array_equal(scale, weights["scale"][order])


def test_rows_are_copied_and_columns_halved() -> None:
    model = load(mlp())
    before, after = values_of(model), values_of(with_split_channels(model, {"first": [4, 0]}))
    order = [0, 1, 2, 3, 4, 5, 4, 0]
    np.testing.assert_array_equal(after["first"], before["first"][:, order])
    np.testing.assert_array_equal(after["first_bias"], before["first_bias"][order])
    halves = np.array([0.5, 1, 1, 1, 0.5, 1, 0.5, 0.5], np.float32)
    np.testing.assert_array_equal(after["second"], before["second"][:, order] * halves)
    np.testing.assert_array_equal(after["second_bias"], before["second_bias"])


def test_the_model_itself_stays_as_it_is() -> None:
    model = load(mlp())
    before = model.SerializeToString()
    with_split_channels(model, {"first": [0]})
    assert model.SerializeToString() == before


def test_no_splits_give_the_same_model() -> None:
    model = load(mlp())
    assert with_split_channels(model, {"first": [], "second": []}) == model
    assert with_split_channels(model, {}) == model


def test_copies_can_be_split_again() -> None:
    model = load(mlp())
    once = with_split_channels(model, {"first": [5]})
    twice = with_split_channels(once, {"first": [6, 5]})
    feed = feed_of(model, np.random.default_rng(0))
    assert difference(model, twice, feed) < 1e-5
    assert values_of(twice)["first"].shape == (4, 9)


def test_stated_shapes_of_tensors_with_more_channels_are_dropped() -> None:
    model = load(mlp())
    stated = shape_inference.infer_shapes(model)
    assert {value.name for value in stated.graph.value_info} == {"a", "b", "c"}
    split = with_split_channels(stated, {"first": [0]})
    assert not split.graph.value_info
    check_valid(split)


def test_shapes_of_other_tensors_are_kept() -> None:
    model = shape_inference.infer_shapes(chain("Gemm", bias=True))
    kept = with_split_channels(model, {"w1": [0]}).graph.value_info
    assert {value.name for value in kept} == {"a0", "r0", "a2"}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"second": [0]}, "its output is an output of the model"),
        ({"nothing": [0]}, "there is no such weight"),
        ({"first": [6]}, "no such channels"),
        ({"first": [0, 6]}, "no such channels"),
        ({"first": [-1]}, "no such channels"),
        ({"first": [1, 1]}, "each once"),
    ],
)
def test_a_channel_that_does_not_exist_or_cannot_be_split_is_refused(
    splits: dict[str, list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        with_split_channels(load(mlp()), splits)


def test_the_channels_with_the_largest_weights_come_first() -> None:
    first, second = np.ones((3, 4), np.float32), np.zeros((4, 2), np.float32)
    second[:, 1] = [1, -4, 2, 1]
    nodes = [node("Gemm", ["x", "w"], ["a"]), node("Gemm", ["a", "v"], ["y"])]
    orders = outlier_orders(net(nodes, {"w": first, "v": second}, ("n", 3)))
    assert {name: order.tolist() for name, order in orders.items()} == {"w": [1, 2, 0, 3]}


def test_each_reader_counts_relative_to_its_own_range() -> None:
    nodes = [node("Gemm", ["x", "w"], ["a"])]
    nodes += [node("Gemm", ["a", name], [f"y{name}"]) for name in "uv"]
    nodes.append(node("Concat", ["yu", "yv"], ["y"], axis=1))
    u = np.array([[100], [50], [1]], np.float32)  # 1, 1/2, 1/100 of its range
    v = np.array([[0.1], [0.7], [0.8]], np.float32)  # 1/8, 7/8, 1
    orders = outlier_orders(net(nodes, {"w": random(3, 3), "u": u, "v": v}, ("n", 3)))
    assert orders["w"].tolist() == [0, 2, 1]


def test_a_block_counts_by_its_largest_entry() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Flatten", ["a"], ["f"]),
        node("Gemm", ["f", "v"], ["y"]),
    ]
    v = np.zeros((3 * 4, 2), np.float32)
    v[[2, 7, 8], [0, 1, 1]] = [1, -3, 2]
    model = net(nodes, {"w": random(3, 3, 5, 5), "v": v})
    assert outlier_orders(model)["w"].tolist() == [1, 2, 0]


def test_splitting_the_first_channels_shrinks_the_range() -> None:
    model = load(mlp())
    order = outlier_orders(model)["first"]
    before = np.abs(values_of(model)["second"]).max(axis=0)
    after = np.abs(values_of(with_split_channels(model, {"first": order[:2].tolist()}))["second"])
    assert after.max() == pytest.approx(max(before.max() / 2, np.sort(before)[-3]))


@pytest.mark.parametrize(
    ("share", "count"), [(0, 0), (1 / 16, 1), (1 / 8, 1), (1 / 4, 2), (0.5, 4), (0.51, 5), (1, 8)]
)
def test_a_share_is_rounded_up(share: float, count: int) -> None:
    order = np.arange(8)[::-1]
    assert splits_from_shares({"w": share}, {"w": order}) == {"w": tuple(range(7, 7 - count, -1))}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        splits_from_shares({"w": share}, {"w": np.arange(8)})


def test_a_share_of_a_layer_without_an_order_is_refused() -> None:
    with pytest.raises(ValueError, match="'v' cannot be split"):
        splits_from_shares({"v": 0.5}, {"w": np.arange(8)})


def test_a_folded_model_can_be_split() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("BatchNormalization", ["a", *NORM], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Conv", ["c", "v"], ["y"]),
    ]
    model = net(nodes, {"w": random(4, 3, 3, 3), "v": random(2, 4, 1, 1), **NORM})
    folded, names = fold_batch_norm(model)
    assert names
    check_same_outputs(folded)


@pytest.mark.parametrize("name", ["autoencoder", "depthwise", "resnet", "transformer", "vgg"])
def test_the_models_of_the_project_keep_their_outputs(models: Path, name: str) -> None:
    model = fold_batch_norm(load(models / f"digits_{name}.onnx"))[0]
    check_same_outputs(model, seeds=1, reference=False)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "cifar10/resnet20", "mlperf_tiny/ic_resnet8", "mlperf_tiny/ad_autoencoder",
        "imagenet_sample/squeezenet1_1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [1 / 16, 1 / 4])
def test_real_models_keep_their_outputs(shared: Path, name: str, share: float) -> None:
    model = fold_batch_norm(load(shared / f"{name}.onnx"))[0]
    orders = outlier_orders(model)
    split = with_split_channels(model, splits_from_shares(dict.fromkeys(orders, share), orders))
    feed = feed_of(model, np.random.default_rng(0))
    assert difference(model, split, feed, reference="resnet" in name) < 1e-5


def test_readers_state_where_the_channels_begin() -> None:
    assert channel_readers(load(fire())) == {
        "squeeze": [ChannelReader("one", 1, 0, 1), ChannelReader("three", 1, 0, 1)],
        "one": [ChannelReader("last", 1, 0, 1)],
        "three": [ChannelReader("last", 1, 5, 1)],  # behind the 5 channels of one
    }
    assert channel_readers(load(mlp())) == {"first": [ChannelReader("second", 1, 0, 1)]}


def test_after_a_flatten_each_channel_is_read_as_a_block() -> None:
    assert channel_readers(load(flat())) == {
        "up": [ChannelReader("wide", 0, 0, 16)],  # 4 x 4 positions
        "wide": [ChannelReader("last", 0, 0, 1)],
    }


def test_a_copy_of_a_channel_adds_its_bias_and_its_other_constants() -> None:
    assert bytes_per_copy(load(fire())) == {"squeeze": 0, "one": 8, "three": 4}  # slopes, a bias
    assert bytes_per_copy(load(mlp())) == {"first": 4}


@pytest.mark.parametrize("make", [fire, flat, mlp])
def test_a_split_model_grows_by_the_bytes_of_its_copies(make: Any) -> None:
    model = load(make())
    weights = {weight.name for weight in find_weights(model)[0]}

    def others(model: ModelProto) -> int:
        return sum(v.nbytes for name, v in values_of(model).items() if name not in weights)

    for name, count in bytes_per_copy(model).items():
        assert others(with_split_channels(model, {name: [0, 2]})) == others(model) + 2 * count
