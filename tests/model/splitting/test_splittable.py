"""Which layers' output channels can be split, and the obstacle for the others."""

import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, split_net
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from onnx_evoq.model import fold_batch_norm, load, splittable_layers
from onnx_evoq.model.splitting.splittable import ChannelSlice

Weights = Mapping[str, NDArray[np.generic]]


def net(
    nodes: Sequence[NodeProto],
    weights: Weights,
    x: Sequence[int | str] = ("n", 3, 4, 4),
    y: Sequence[str] = ("y",),
    opset: int = 17,
) -> ModelProto:
    """x -> nodes -> y, loaded."""
    return load(model_of(nodes, {"x": x}, dict.fromkeys(y), weights, opset=opset))


def before(nodes: Sequence[NodeProto], weights: Weights | None = None, **more: int) -> ModelProto:
    """x (n, 3, 4, 4) -> Conv w1 -> a (n, 4, 4, 4) -> nodes -> y."""
    first = node("Conv", ["x", "w1", "b1"], ["a"])
    return net(
        [first, *nodes],
        {"w1": random(4, 3, 1, 1), "b1": random(4, seed=1), **(weights or {})},
        **more,
    )


def branch(kind: str = "Add") -> list[NodeProto]:
    """What a and another layer's output b go into, and the layer behind."""
    return [
        node("Conv", ["x", "other"], ["b"]),
        node(kind, ["a", "b"], ["c"], "meeting"),
        node("Conv", ["c", "w2"], ["y"]),
    ]


W2 = {"w2": random(5, 4, 1, 1)}
OTHER = {**W2, "other": random(4, 3, 1, 1, seed=8)}

# name: nodes after a, their constants, where the output of w1 goes
OBSTACLES = {
    "an output": ([node("Relu", ["a"], ["y"])], {}, "an output of the model (y)"),
    "a sum": (branch(), OTHER, "a sum (meeting)"),
    "a difference": (branch("Sub"), OTHER, "a sum (meeting)"),
    "a sum with an input": (
        [node("Add", ["z", "a"], ["b"], "meeting"), node("Conv", ["b", "w2"], ["y"])],
        W2,
        "a sum (meeting)",
    ),
    "a product of layers": (branch("Mul"), OTHER, "Mul (meeting)"),
    "an unknown factor": (
        [node("Mul", ["a", "z"], ["b"], "mask"), node("Conv", ["b", "w2"], ["y"])],
        W2,
        "Mul (mask)",
    ),
    "groups": (
        [node("Conv", ["a", "w2"], ["y"], "depthwise", group=4)],
        {"w2": random(4, 1, 1, 1)},
        "a layer with groups (depthwise)",
    ),
    "a shared weight": (
        [node("Conv", ["a", "w2"], ["b"], "first"), node("Conv", ["b", "w2"], ["y"])],
        {"w2": random(4, 4, 1, 1)},
        "a layer with a shared weight (first)",
    ),
    "a Reshape": (
        [node("Reshape", ["a", "s"], ["b"]), node("Gemm", ["b", "w2"], ["y"])],
        {"s": np.array([-1, 64]), "w2": random(64, 3)},
        "Reshape (Reshape(b))",
    ),
    "a shape": ([node("Shape", ["a"], ["y"], "size")], {}, "Shape (size)"),
    "Softmax": (
        [node("Softmax", ["a"], ["b"], "attention", axis=1), node("Conv", ["b", "w2"], ["y"])],
        W2,
        "Softmax (attention)",
    ),
    "a mean over channels": (
        [node("ReduceMean", ["a"], ["b"], "mean", axes=[-3]), node("Conv", ["b", "w2"], ["y"])],
        {"w2": random(5, 1, 1, 1)},
        "ReduceMean (mean)",
    ),
    "a mean over everything": (
        [node("ReduceMean", ["a"], ["y"], "mean")], {}, "ReduceMean (mean)",
    ),
    "Concat along rows": (
        [node("Concat", ["a", "a"], ["b"], "rows", axis=2), node("Conv", ["b", "w2"], ["y"])],
        W2,
        "Concat (rows)",
    ),
    "Concat with an input": (
        [node("Concat", ["x", "a"], ["b"], "row", axis=1), node("Conv", ["b", "w2"], ["y"])],
        {"w2": random(5, 7, 1, 1)},
        "Concat (row)",
    ),
    "a matrix product along rows": (
        [node("MatMul", ["a", "w2"], ["y"], "rows")], {"w2": random(4, 5)}, "MatMul (rows)",
    ),
    "a matrix product with itself": (
        [node("MatMul", ["a", "a"], ["y"], "square")], {}, "MatMul (square)",
    ),
    "a bias": (
        [node("Conv", ["x", "other", "a"], ["y"], "biased")], OTHER, "Conv (biased)",
    ),
    "indices of a pool": (
        [node("MaxPool", ["a"], ["b", "y"], "pool", kernel_shape=[2, 2])],
        {},
        "MaxPool (pool)",
    ),
    "Flatten of everything": (
        [node("Flatten", ["a"], ["b"], "flat", axis=2), node("Gemm", ["b", "w2"], ["y"])],
        {"w2": random(16, 3)},
        "Flatten (flat)",
    ),
    "an operator of someone's own": (
        [helper.make_node("FusedConv", ["a", "w2"], ["y"], "own", domain="com.microsoft")],
        W2,
        "FusedConv (own)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OBSTACLES)
def test_the_reason_names_the_obstacle(name: str) -> None:
    nodes, weights, where = OBSTACLES[name]
    model = model_of(
        [node("Conv", ["x", "w1", "b1"], ["a"]), *nodes],
        {"x": ["n", 3, 4, 4], "z": ["n", 1, 4, 4]},
        {"y": None},
        {"w1": random(4, 3, 1, 1), "b1": random(4, seed=1), **weights},
    )
    allowed, reasons = splittable_layers(model)
    assert "w1" not in allowed
    verb = "is" if where.startswith("an output") else "goes into"
    assert reasons["w1"] == f"its output {verb} {where}"


def test_neither_term_of_a_sum_can_be_split() -> None:
    allowed, reasons = splittable_layers(before(branch(), OTHER))
    assert not allowed
    assert reasons["other"] == reasons["w1"] == "its output goes into a sum (meeting)"


def test_a_layer_added_to_an_earlier_sum_cannot_be_split() -> None:
    nodes = [*branch()[:2], node("Conv", ["c", "w2"], ["d"]), node("Add", ["c", "d"], ["e"], "two")]
    last = node("Conv", ["e", "w3"], ["y"])
    weights = {**OTHER, "w2": random(4, 4, 1, 1), "w3": random(2, 4, 1, 1)}
    allowed, reasons = splittable_layers(before([*nodes, last], weights))
    assert not allowed
    assert reasons["w2"] == "its output goes into a sum (two)"


def test_one_reader_that_does_not_keep_channels_is_enough() -> None:
    nodes = [node("Conv", ["a", "w2"], ["y"]), node("Softmax", ["a"], ["z"], "soft")]
    model = net(
        [node("Conv", ["x", "w1"], ["a"]), *nodes], {"w1": random(4, 3, 1, 1), **W2}, y=("y", "z")
    )
    assert splittable_layers(model)[1]["w1"] == "its output goes into Softmax (soft)"


def test_an_output_of_the_model_that_layers_read_too_cannot_be_split() -> None:
    model = net(
        [node("Conv", ["x", "w1"], ["a"]), node("Conv", ["a", "w2"], ["y"])],
        {"w1": random(4, 3, 1, 1), **W2},
        y=("y", "a"),
    )
    assert splittable_layers(model)[1]["w1"] == "its output is an output of the model (a)"


def test_a_layer_whose_output_nothing_reads_cannot_be_split() -> None:
    model = before([node("Conv", ["x", "other"], ["y"])], OTHER)
    assert splittable_layers(model)[1]["w1"] == "no layer reads its output"


def test_a_graph_inside_a_node_is_an_obstacle() -> None:
    body = helper.make_graph(
        [node("Conv", ["a", "w2"], ["inner"])],
        "body",
        [],
        [helper.make_empty_tensor_value_info("inner")],
    )
    choice = node("If", ["c"], ["y"], "choice", then_branch=body, else_branch=body)
    model = model_of(
        [node("Conv", ["x", "w1"], ["a"]), choice],
        {"x": ["n", 3, 4, 4], "c": []},
        {"y": None},
        {"w1": random(4, 3, 1, 1), **W2},
        dtypes={"c": "bool"},
    )
    assert splittable_layers(model)[1]["w1"] == "its output goes into If (choice)"


def test_a_layer_with_groups_cannot_be_split() -> None:
    model = net(
        [node("Conv", ["x", "w"], ["a"], group=3), node("Conv", ["a", "v"], ["y"])],
        {"w": random(6, 1, 3, 3), "v": random(2, 6, 1, 1)},
    )
    assert splittable_layers(model)[1]["w"] == "it has groups"


def test_a_layer_with_a_computed_bias_cannot_be_split() -> None:
    nodes = [
        node("ReduceMean", ["x"], ["b"], axes=[0], keepdims=0),
        node("Gemm", ["x", "w", "b"], ["a"]),
    ]
    model = net(
        [*nodes, node("Gemm", ["a", "v"], ["y"])], {"w": random(4, 4), "v": random(4, 2)}, ("n", 4)
    )
    assert splittable_layers(model)[1]["w"] == "its bias is no constant (b)"


@pytest.mark.parametrize(
    ("layer", "op_type"),
    [
        (node("Gather", ["w", "i"], ["a"]), "Gather"),
        (node("MatMul", ["w", "x"], ["a"]), "MatMul"),
    ],
)
def test_the_reason_says_that_a_weight_belongs_to_no_linear_layer(
    layer: NodeProto, op_type: str
) -> None:
    last = node("MatMul", ["a", "v"], ["y"])
    weights = {"w": random(4, 4), "i": np.array([1, 2]), "v": random(4, 2)}
    allowed, reasons = splittable_layers(net([layer, last], weights, (4, 4)))
    assert "w" not in allowed
    assert reasons["w"] == f"it is not the weight of one linear layer alone ({op_type})"


def test_a_weight_of_two_layers_cannot_be_split() -> None:
    nodes = [
        node("Gemm", ["x", "w"], ["a"]),
        node("Gemm", ["a", "w"], ["b"]),
        node("Gemm", ["b", "v"], ["y"]),
    ]
    reasons = splittable_layers(net(nodes, {"w": random(4, 4), "v": random(4, 2)}, ("n", 4)))[1]
    assert reasons["w"].startswith("it is not the weight of one linear layer alone")


def test_dropout_in_training_is_an_obstacle() -> None:
    nodes = [node("Dropout", ["a", "", "train"], ["b"], "drop"), node("Conv", ["b", "w2"], ["y"])]
    for training in (False, True):
        allowed, reasons = splittable_layers(before(nodes, {**W2, "train": np.array(training)}))
        assert ("w1" in allowed) != training
    assert reasons["w1"] == "its output goes into Dropout (drop)"


def test_every_weight_is_either_allowed_or_has_a_reason() -> None:
    for model in (mlp(), conv_net(), split_net()):
        folded = fold_batch_norm(load(model))[0]
        allowed, reasons = splittable_layers(folded)
        names = {tensor.name for tensor in folded.graph.initializer if len(tensor.dims) > 1}
        assert set(allowed) | set(reasons) == names
        assert not set(allowed) & set(reasons)


def test_the_slices_of_a_layer_are_its_weight_its_bias_and_the_columns_of_its_reader() -> None:
    layer = splittable_layers(load(mlp()))[0]["first"]
    assert layer.channels == 6
    assert layer.slices == (
        ChannelSlice("a", 1, "first", 1, 0, 1, halved=False),  # MatMul: (in, out)
        ChannelSlice("b", 1, "first_bias", 0, 0, 1, halved=False),
        ChannelSlice("logits", 1, "second", 1, 0, 1, halved=True),  # Gemm, transposed: (out, in)
    )
    assert layer.widened == ("a", "b", "c")


def test_after_a_flatten_a_channel_has_a_block_of_columns() -> None:
    nodes = [node("Flatten", ["a"], ["b"]), node("Gemm", ["b", "w2"], ["y"])]
    layer = splittable_layers(before(nodes, {"w2": random(64, 3)}))[0]["w1"]
    assert layer.slices[-1] == ChannelSlice("y", 1, "w2", 0, 0, 16, halved=True)


def test_after_a_concat_each_layer_has_columns_of_its_own() -> None:
    nodes = [
        node("Conv", ["x", "other"], ["b"]),
        node("Concat", ["b", "a"], ["c"], axis=1),
        node("Conv", ["c", "w2"], ["y"]),
    ]
    weights = {"other": random(2, 3, 1, 1), "w2": random(5, 6, 1, 1)}
    allowed = splittable_layers(before(nodes, weights))[0]
    assert allowed["other"].slices[-1] == ChannelSlice("y", 1, "w2", 1, 0, 1, halved=True)
    assert allowed["w1"].slices[-1] == ChannelSlice("y", 1, "w2", 1, 2, 1, halved=True)


def test_a_sum_in_the_same_concat_is_no_obstacle_for_a_layer() -> None:
    nodes = [
        *branch()[:2],
        node("Conv", ["x", "third"], ["d"]),
        node("Concat", ["c", "d"], ["e"], axis=1),
        node("Conv", ["e", "w3"], ["y"]),
    ]
    weights = {
        "other": random(4, 3, 1, 1), "third": random(2, 3, 1, 1), "w3": random(5, 6, 1, 1),
    }  # fmt: skip
    allowed, reasons = splittable_layers(before(nodes, weights))
    assert set(reasons) == {"w1", "other", "w3"}
    assert allowed["third"].slices[-1] == ChannelSlice("y", 1, "w3", 1, 4, 1, halved=True)


def test_layers_that_end_in_a_residual_sum_cannot_be_split() -> None:
    allowed, reasons = splittable_layers(fold_batch_norm(load(conv_net()))[0])
    assert not allowed
    assert reasons == {
        "w1": "its output goes into a sum (Add(e))",
        "w2": "its output goes into a sum (Add(e))",
        "w3": "its output is an output of the model (logits)",
    }


def test_each_model_of_the_project_has_layers_to_split(models: Path) -> None:
    found = {
        path.stem: len(splittable_layers(fold_batch_norm(load(path))[0])[0])
        for path in models.glob("digits_*.onnx")
    }
    assert found == {
        "digits_autoencoder": 5,  # all but the last
        "digits_depthwise": 1,  # the one before the last
        "digits_resnet": 3,  # the first of each residual branch
        "digits_transformer": 2,  # between the two matrices of each block
        "digits_vgg": 5,  # all but the last
    }


def tokens(*nodes: NodeProto, x: Sequence[int | str] = ("n", 5, 3)) -> tuple[set[str], dict]:
    """The splittable weights and the reasons of x -> nodes -> y, with matrices w, v and u."""
    weights = {"w": random(3, 4), "v": random(4, 4), "u": random(20, 2), "t": random(4, 2)}
    allowed, reasons = splittable_layers(net(nodes, weights, x))
    return set(allowed), reasons


def test_a_flatten_of_tokens_is_an_obstacle() -> None:
    flatten = node("Flatten", ["a"], ["f"], "flat")
    allowed, reasons = tokens(
        node("MatMul", ["x", "w"], ["a"]), flatten, node("Gemm", ["f", "u"], ["y"])
    )
    assert "w" not in allowed
    assert reasons["w"] == "its output goes into Flatten (flat)"


def test_the_output_of_a_gemm_has_two_axes() -> None:
    flatten = node("Flatten", ["a"], ["f"])
    gemm, last = node("Gemm", ["x", "w"], ["a"]), node("Gemm", ["f", "t"], ["y"])
    assert "w" in tokens(gemm, flatten, last, x=("n", 3))[0]


def test_a_matmul_keeps_the_number_of_axes_of_its_input() -> None:
    nodes = [
        node("Gemm", ["x", "w"], ["g"]),
        node("MatMul", ["g", "v"], ["a"]),
        node("Flatten", ["a"], ["f"]),
        node("Gemm", ["f", "t"], ["y"]),
    ]
    assert tokens(*nodes, x=("n", 3))[0] == {"w", "v"}


@pytest.mark.parametrize("shape", [(4,), (1, 4)], ids=str)
def test_a_third_input_per_channel_has_a_slice(shape: tuple[int, ...]) -> None:
    nodes = [node("Gemm", ["x", "w", "c"], ["a"]), node("Gemm", ["a", "v"], ["y"])]
    weights = {"w": random(3, 4), "c": random(*shape), "v": random(4, 2)}
    layer = splittable_layers(net(nodes, weights, ("n", 3)))[0]["w"]
    assert layer.slices == (
        ChannelSlice("a", 1, "w", 1, 0, 1, halved=False),
        ChannelSlice("a", 2, "c", len(shape) - 1, 0, 1, halved=False),
        ChannelSlice("y", 1, "v", 0, 0, 1, halved=True),
    )


@pytest.mark.parametrize(
    ("shape", "has_slice"),
    [((1, 1, 1), False), ((4, 4), False), ((4, 1, 1), True), ((1, 4, 4, 4), True)],
    ids=str,
)
def test_a_constant_has_a_slice_if_it_has_a_value_per_channel(
    shape: tuple[int, ...], has_slice: bool
) -> None:
    nodes = [node("Mul", ["a", "c"], ["b"]), node("Conv", ["b", "w2"], ["y"])]
    layer = splittable_layers(before(nodes, {**W2, "c": random(*shape)}))[0]["w1"]
    assert [s.constant for s in layer.slices] == ["w1", "b1", *["c"] * has_slice, "w2"]


def test_a_constant_per_feature_of_a_block_is_an_obstacle() -> None:
    nodes = [
        node("Flatten", ["a"], ["f"]),
        node("Add", ["f", "c"], ["b"], "bias"),
        node("Gemm", ["b", "w2"], ["y"]),
    ]
    for size, allowed in ((64, False), (1, True)):
        weights = {"c": random(size), "w2": random(64, 3)}
        assert ("w1" in splittable_layers(before(nodes, weights))[0]) == allowed


def test_layers_are_told_by_shapes_alone() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["y"])]
    model = net(nodes, {"w": random(256, 256), "v": random(256, 256)}, ("n", 256))
    tracemalloc.start()
    try:
        assert list(splittable_layers(model)[0]) == ["w"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 256 * 256  # the bytes of one weight
