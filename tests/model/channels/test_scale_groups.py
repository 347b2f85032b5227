"""Which channels must be scaled together; random scales of the groups keep the outputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnx_evoq.model import (
    ChannelGroups,
    channel_groups,
    find_weights,
    fold_batch_norm,
    input_specs,
    load,
    rescaled,
)
from onnx_evoq.model.channels import scale_groups

Weights = Mapping[str, NDArray[np.generic]]


def net(
    nodes: Sequence[NodeProto],
    weights: Weights,
    x: Sequence[int | str] = ("n", 3, 4, 4),
    opset: int = 17,
) -> ModelProto:
    """x -> nodes -> y, loaded."""
    return load(model_of(nodes, {"x": x}, {"y": None}, weights, opset=opset))


def between(nodes: Sequence[NodeProto], weights: Weights, columns: int, **more: int) -> ModelProto:
    """x (n, 3, 4, 4) -> Conv w1 -> a (n, 4, 4, 4) -> nodes -> b (n, columns, ?, ?) -> Conv w2."""
    first = node("Conv", ["x", "w1", "b1"], ["a"])
    last = node("Conv", ["b", "w2"], ["y"])
    own = {"w1": random(4, 3, 1, 1), "b1": random(4, seed=1), "w2": random(5, columns, 1, 1)}
    return net([first, *nodes, last], {**own, **weights}, **more)


def checked_groups(model: ModelProto, batch: int = 2, rtol: float = 1e-5) -> ChannelGroups:
    """The groups of a model; random scales must not change what it computes."""
    groups = channel_groups(model)
    rng = np.random.default_rng(5)
    other = rescaled(model, groups, 2 ** rng.uniform(-1, 1, groups.count))
    feed = {
        spec.name: rng.standard_normal([size or batch for size in spec.shape]).astype(spec.dtype)
        for spec in input_specs(model)
    }
    for name, before in run(model, feed).items():
        after = run(other, feed)[name]
        np.testing.assert_allclose(after, before, rtol=0, atol=rtol * np.abs(before).max())
    used = [*groups.rows.values(), *groups.columns.values()]
    assert set(np.concatenate(used).tolist()) - {-1} == set(range(groups.count))
    return groups


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


FREE = [0, 1, 2, 3]

# name: nodes from a to b, their constants, the groups of what w2 reads (those of w1 are FREE)
KEEPING = {
    "Relu": ([node("Relu", ["a"], ["b"])], {}, FREE),
    "Clip": (
        [node("Clip", ["a", "low", "high"], ["b"])],
        {"low": np.float32(0), "high": np.float32(0.5)},
        FREE,
    ),
    "Clip from below": ([node("Clip", ["a", "low"], ["b"])], {"low": np.float32(-0.2)}, FREE),
    "LeakyRelu": ([node("LeakyRelu", ["a"], ["b"], alpha=0.1)], {}, FREE),
    "PRelu": ([node("PRelu", ["a", "p"], ["b"])], {"p": random(4, 1, 1)}, FREE),
    "Dropout": ([node("Dropout", ["a"], ["b"])], {}, FREE),
    "Dropout with a ratio": ([node("Dropout", ["a", "r"], ["b"])], {"r": np.float32(0.5)}, FREE),
    "Expand": (
        [node("GlobalMaxPool", ["a"], ["c"]), node("Expand", ["c", "size"], ["b"])],
        {"size": ints(1, 4, 3, 3)},
        FREE,
    ),
    "Squeeze": (
        [
            node("GlobalMaxPool", ["a"], ["c"]),
            node("Squeeze", ["c", "axes"], ["d"]),
            node("Unsqueeze", ["d", "axes"], ["b"]),
        ],
        {"axes": ints(2, 3)},
        FREE,
    ),
    "Tile": ([node("Tile", ["a", "times"], ["b"])], {"times": ints(1, 2, 1, 1)}, FREE + FREE),
    "Cast": ([node("Cast", ["a"], ["c"], to=11), node("Cast", ["c"], ["b"], to=1)], {}, FREE),
    "MaxPool": ([node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2])], {}, FREE),
    "AveragePool": (
        [node("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        {},
        FREE,
    ),
    "GlobalAveragePool": ([node("GlobalAveragePool", ["a"], ["b"])], {}, FREE),
    "ReduceMax": ([node("ReduceMax", ["a"], ["b"], axes=[2, -1])], {}, FREE),
    "ReduceSum without the axes": (
        [
            node("ReduceSum", ["a", "axes"], ["c"], keepdims=0),
            node("Unsqueeze", ["c", "axes"], ["b"]),
        ],
        {"axes": ints(2, 3)},
        FREE,
    ),
    "Resize": (
        [node("Resize", ["a", "", "s"], ["b"], mode="linear")],
        {"s": np.array([1, 1, 2, 2], np.float32)},
        FREE,
    ),
    "Resize to a size": (
        [node("Resize", ["a", "", "", "s"], ["b"], mode="nearest")],
        {"s": ints(1, 4, 8, 8)},
        FREE,
    ),
    "product with a constant": (
        [node("Mul", ["c2", "a"], ["c"]), node("Div", ["c", "c3"], ["b"])],
        {"c2": random(4, 1, 1), "c3": np.float32(3)},
        FREE,
    ),
    "sum with zeros": ([node("Add", ["a", "zeros"], ["b"])], {"zeros": np.zeros((4, 1, 4))}, FREE),
    "Concat": (
        [node("Relu", ["a"], ["r"]), node("Concat", ["r", "a"], ["b"], axis=1)],
        {},
        FREE + FREE,
    ),
    "Concat with what is pinned": (
        [node("Sigmoid", ["x"], ["s"]), node("Concat", ["s", "a"], ["b"], axis=1)],
        {},
        [-1, -1, -1, *FREE],
    ),
    "Slice": (
        [node("Slice", ["a", "from", "to", "axis"], ["b"])],
        {"from": ints(1), "to": ints(3), "axis": ints(1)},
        [1, 2],
    ),
    "Split": ([node("Split", ["a"], ["other", "b"], axis=1)], {}, [2, 3]),
    "Gather": ([node("Gather", ["a", "i"], ["b"], axis=1)], {"i": ints(3, 0, 3)}, [3, 0, 3]),
    "Pad": (
        [node("Pad", ["a", "pads"], ["b"])],
        {"pads": ints(0, 1, 0, 0, 0, 2, 0, 0)},
        [-1, *FREE, -1, -1],
    ),
    "Pad in space": (
        [node("Pad", ["a", "pads", "zero"], ["b"])],
        {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "zero": np.float32(0)},
        FREE,
    ),
    "Pad with what is there": (
        [node("Pad", ["a", "pads"], ["b"], mode="reflect")],
        {"pads": ints(0, 1, 0, 0, 0, 0, 0, 0)},
        [1, *FREE],
    ),
    "SpaceToDepth": ([node("SpaceToDepth", ["a"], ["b"], blocksize=2)], {}, FREE * 4),
    "Transpose": (
        [
            node("Transpose", ["a"], ["c"], perm=[0, 2, 3, 1]),
            node("Transpose", ["c"], ["b"], perm=[0, 3, 1, 2]),
        ],
        {},
        FREE,
    ),
    "shuffle": (
        [
            node("Reshape", ["a", "apart"], ["c"]),
            node("Transpose", ["c"], ["d"], perm=[0, 2, 1, 3, 4]),
            node("Reshape", ["d", "together"], ["b"]),
        ],
        {"apart": ints(-1, 2, 2, 4, 4), "together": ints(0, 4, 4, 4)},
        [0, 2, 1, 3],
    ),
    "a shape that is computed": (
        [
            node("Flatten", ["a"], ["f"]),
            node("Shape", ["a"], ["s"]),
            node("Gather", ["s", "first"], ["n"]),
            node("Concat", ["n", "rest"], ["shape"], axis=0),
            node("Reshape", ["f", "shape"], ["b"]),
        ],
        {"first": ints(0), "rest": ints(4, 4, 4)},
        FREE,
    ),
    "depthwise": (
        [node("Conv", ["a", "d", "e"], ["c"], group=4), node("Relu", ["c"], ["b"])],
        {"d": random(4, 1, 3, 3), "e": random(4)},
        [4, 5, 6, 7],
    ),
    "a gate": (
        [
            node("GlobalAveragePool", ["a"], ["c"]),
            node("Conv", ["c", "g"], ["d"]),
            node("Sigmoid", ["d"], ["s"]),
            node("Mul", ["a", "s"], ["b"]),
        ],
        {"g": random(4, 4, 1, 1)},
        FREE,
    ),
}


@pytest.mark.parametrize("case", KEEPING.values(), ids=KEEPING)
def test_groups_pass_through(case: tuple) -> None:
    nodes, weights, columns = case
    weights = {k: v.astype(np.float32) if v.dtype == float else v for k, v in weights.items()}
    groups = checked_groups(between(nodes, weights, len(columns)))
    assert groups.rows["w1"].tolist() == FREE
    assert groups.columns["w2"].tolist() == columns
    assert set(groups.columns["w1"]) == set(groups.rows["w2"]) == {-1}  # the model's input, output


# name: nodes from a to b, their constants, the groups of w1, those of what w2 reads
JOINING = {
    "sum of all": (
        [node("ReduceMean", ["a"], ["b"], axes=[1])],
        {},
        [0, 0, 0, 0],
        [0],
    ),
    "mean of everything": ([node("ReduceMean", ["a"], ["b"])], {}, [0, 0, 0, 0], [0]),
    "DepthToSpace": ([node("DepthToSpace", ["a"], ["b"], blocksize=2)], {}, [0, 0, 0, 0], [0]),
    "sum in another order": (
        [node("Gather", ["a", "i"], ["c"], axis=1), node("Add", ["a", "c"], ["b"])],
        {"i": ints(1, 0, 2, 3)},
        [0, 0, 1, 2],
        [0, 0, 1, 2],
    ),
    "sum that broadcasts": (
        [
            node("Slice", ["a", "i", "j", "j"], ["c"]),
            node("Max", ["a", "c"], ["b"]),
        ],
        {"i": ints(0), "j": ints(1)},
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ),
    "sum with a constant in one channel": (
        [node("Sub", ["a", "c"], ["b"])],
        {"c": np.array([0, 0, 1, 0], np.float32).reshape(4, 1, 1)},
        [0, 1, -1, 2],
        [0, 1, -1, 2],
    ),
    "one position differs": (
        [
            node("Slice", ["a", "i", "j", "axis"], ["c"]),
            node("Gather", ["c", "order"], ["d"], axis=1),
            node("Concat", ["a", "d"], ["b"], axis=3),
        ],
        {"i": ints(0), "j": ints(1), "axis": ints(3), "order": ints(0, 1, 3, 3)},
        [0, 1, 2, 2],
        [0, 1, 2, 2],
    ),
}


@pytest.mark.parametrize("case", JOINING.values(), ids=JOINING)
def test_channels_that_are_combined_have_one_scale(case: tuple) -> None:
    nodes, weights, rows, columns = case
    groups = checked_groups(between(nodes, weights, len(columns)))
    assert groups.rows["w1"].tolist() == rows
    assert groups.columns["w2"].tolist() == columns


def branching(value: str) -> NodeProto:
    """An If whose branches both give `value`."""

    def branch() -> object:
        output = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
        return helper.make_graph([node("Identity", [value], ["o"])], "branch", [], [output])

    return node("If", ["yes"], ["b"], then_branch=branch(), else_branch=branch())


PINNING = {
    "Clip of zeros above 0": (
        [node("Pad", ["a", "pads"], ["c"]), node("Clip", ["c", "low"], ["b"])],
        {"pads": ints(0, 0, 1, 1, 0, 0, 0, 0), "low": 1},
    ),
    "Clip at a computed limit": (
        [
            node("ReduceMax", ["x"], ["m"], keepdims=0),
            node("Clip", ["a", "", "m"], ["b"]),
        ],
        {},
    ),
    "Sigmoid": ([node("Sigmoid", ["a"], ["b"])], {}),
    "HardSwish": ([node("HardSwish", ["a"], ["b"])], {}),
    "Softmax": ([node("Softmax", ["a"], ["b"], axis=1)], {}),
    "BatchNormalization": (
        [
            node("Relu", ["a"], ["r"]),
            node("BatchNormalization", ["r", *["ones"] * 4], ["b"]),
        ],
        {"ones": np.ones(4)},
    ),
    "square": ([node("Mul", ["a", "a"], ["b"])], {}),
    "reciprocal": ([node("Div", ["one", "a"], ["b"])], {"one": 1}),
    "product": ([node("MatMul", ["a", "a"], ["b"])], {}),
    "PRelu of itself": ([node("PRelu", ["a", "a"], ["b"])], {}),
    "constant that is no bias": (
        [node("Relu", ["a"], ["r"]), node("Add", ["r", "c"], ["b"])],
        {"c": np.ones(4).reshape(4, 1, 1)},
    ),
    "bias over columns": ([node("Add", ["a", "c"], ["b"])], {"c": np.ones(4)}),
    "shared bias": (
        [node("Add", ["a", "c"], ["d"]), node("Add", ["d", "c"], ["b"])],
        {"c": np.ones(4).reshape(4, 1, 1)},
    ),
    "Pad with ones": (
        [node("Pad", ["a", "pads", "one"], ["b"])],
        {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "one": 1},
    ),
    "Pad with twos": (
        [node("Pad", ["a", "pads", "two"], ["b"])],
        {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "two": 2},
    ),
    "Split with an empty part": (
        [node("Split", ["a", "sizes"], ["b", "empty"], axis=1)],
        {"sizes": ints(4, 0)},
    ),
    "Resize beyond the picture": (
        [
            node(
                "Resize",
                ["a", "roi", "s"],
                ["b"],
                mode="linear",
                coordinate_transformation_mode="tf_crop_and_resize",
                extrapolation_value=1.0,
            )
        ],
        {"roi": np.array([0, 0, 0, 0, 1, 1, 2, 2.0]), "s": np.ones(4)},
    ),
    "indices that are computed": (
        [
            node("ReduceMax", ["x"], ["m"], keepdims=0),
            node("Cast", ["m"], ["i"], to=7),
            node("Mul", ["i", "nought"], ["j"]),
            node("Gather", ["a", "j"], ["c"], axis=2),
            node("Unsqueeze", ["c", "two"], ["b"]),
        ],
        {"nought": ints(0)[0], "two": ints(2)},
    ),
    "If": ([branching("a")], {"yes": np.array(True)}),
}


@pytest.mark.parametrize("case", PINNING.values(), ids=PINNING)
def test_operators_that_depend_on_the_scale_pin_it(case: tuple) -> None:
    nodes, constants = case
    weights = {
        name: np.asarray(value, None if isinstance(value, np.generic | np.ndarray) else np.float32)
        for name, value in constants.items()
    }
    weights = {k: v.astype(np.float32) if v.dtype == float else v for k, v in weights.items()}
    groups = checked_groups(between(nodes, weights, 4))
    assert groups.count == 0
    assert groups.rows["w1"].tolist() == groups.columns["w2"].tolist() == [-1] * 4


def test_a_residual_sum_has_one_scale() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    groups = checked_groups(model)
    six = list(range(6))
    assert groups.rows["w1"].tolist() == groups.rows["w2"].tolist() == six
    assert groups.columns["w2"].tolist() == groups.columns["w3"].tolist() == six
    assert groups.rows["w3"].tolist() == [-1] * 5


def test_a_shortcut_may_skip_positions_and_add_channels() -> None:
    nodes = [
        node("Conv", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("Conv", ["r", "w2"], ["main"], strides=[2, 2]),
        node("Slice", ["r", "from", "to", "axes", "steps"], ["s"]),
        node("Pad", ["s", "pads"], ["shortcut"]),
        node("Add", ["main", "shortcut"], ["sum"]),
        node("Conv", ["sum", "w3"], ["y"]),
    ]
    weights = {
        "w1": random(2, 3, 1, 1),
        "w2": random(4, 2, 1, 1),
        "w3": random(3, 4, 1, 1),
        "from": ints(0, 0),
        "to": ints(9, 9),
        "axes": ints(2, 3),
        "steps": ints(2, 2),
        "pads": ints(0, 1, 0, 0, 0, 1, 0, 0),
    }
    groups = checked_groups(net(nodes, weights))
    assert groups.rows["w1"].tolist() == groups.columns["w2"].tolist() == [0, 1]
    assert groups.rows["w2"].tolist() == groups.columns["w3"].tolist() == [2, 0, 1, 3]


CONVOLUTIONS = {
    "groups": ("Conv", (6, 2, 3, 3), 6, {"group": 2}),
    "transposed": ("ConvTranspose", (4, 6, 2, 2), 6, {}),
    "transposed, groups": ("ConvTranspose", (4, 3, 2, 2), 6, {"group": 2}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_of_each_kind_are_rescaled(case: tuple) -> None:
    op_type, shape, channels, attributes = case
    nodes = [node(op_type, ["a", "w", "c"], ["d"], **attributes), node("Relu", ["d"], ["b"])]
    weights = {"w": random(*shape), "c": random(channels)}
    groups = checked_groups(between(nodes, weights, channels))
    assert groups.columns["w"].tolist() == FREE
    assert groups.rows["w"].tolist() == groups.columns["w2"].tolist() == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_reads_its_weight_both_ways(transposed: int) -> None:
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["a"], transB=transposed, alpha=0.5, beta=2.0),
        node("Gemm", ["a", "w2", "b2"], ["y"], transB=transposed),
    ]
    one, two = random(3, 5), random(5, 2)
    weights = {
        "w1": one.T if transposed else one,
        "b1": random(1, 5, seed=2),
        "w2": two.T if transposed else two,
        "b2": random(2),
    }
    groups = checked_groups(net(nodes, weights, ["n", 3]))
    assert groups.rows["w1"].tolist() == groups.columns["w2"].tolist() == [0, 1, 2, 3, 4]
    assert len(groups.columns["w1"]) == 3
    assert len(groups.rows["w2"]) == 2


@pytest.mark.parametrize("bias", [random(1), random(2, 3)], ids=["for all", "per sample"])
def test_a_gemm_bias_that_is_not_per_channel_pins(bias: NDArray[np.float32]) -> None:
    nodes = [node("Gemm", ["x", "w1", "b1"], ["a"]), node("Gemm", ["a", "w2"], ["y"])]
    weights = {"w1": random(4, 3), "b1": bias, "w2": random(3, 2)}
    assert checked_groups(net(nodes, weights, [2, 4])).count == 0


def test_a_computed_third_input_of_a_gemm_is_pinned_too() -> None:
    nodes = [
        node("Gemm", ["x", "w0"], ["c"]),
        node("Gemm", ["x", "w1", "c"], ["a"]),
        node("Gemm", ["a", "w2"], ["y"]),
    ]
    weights = {"w0": random(4, 3), "w1": random(4, 3, seed=1), "w2": random(3, 2)}
    assert checked_groups(net(nodes, weights, ["n", 4])).count == 0


def test_an_add_behind_a_layer_is_its_bias() -> None:
    groups = checked_groups(load(mlp()))
    assert groups.count == 6
    assert groups.rows["first"].tolist() == groups.columns["second"].tolist() == list(range(6))
    nodes = [node("Add", ["c", "a"], ["b"])]
    assert checked_groups(between(nodes, {"c": random(4, 1, 1)}, 4)).count == 4


def test_the_values_of_attention_are_rescaled_alone() -> None:
    nodes = [
        node("MatMul", ["x", "wq"], ["q"]),
        node("MatMul", ["x", "wv"], ["v"]),
        node("Transpose", ["x"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["q", "k"], ["qk"]),
        node("Softmax", ["qk"], ["p"]),
        node("MatMul", ["p", "v"], ["o"]),
        node("MatMul", ["o", "wo"], ["y"]),
    ]
    weights = {"wq": random(3, 3), "wv": random(3, 5), "wo": random(5, 2)}
    groups = checked_groups(net(nodes, weights, ["n", 7, 3]))
    assert groups.rows["wv"].tolist() == groups.columns["wo"].tolist() == [0, 1, 2, 3, 4]
    assert groups.rows["wq"].tolist() == [-1, -1, -1]


def test_channels_that_a_product_sums_have_one_scale() -> None:
    nodes = [
        node("MatMul", ["x", "wv"], ["v"]),
        node("Transpose", ["v"], ["t"], perm=[0, 2, 1]),
        node("Sigmoid", ["x"], ["p"]),
        node("MatMul", ["p", "t"], ["o"]),
        node("MatMul", ["o", "wo"], ["y"]),
    ]
    groups = checked_groups(net(nodes, {"wv": random(3, 3), "wo": random(7, 2)}, ["n", 7, 3]))
    assert groups.rows["wv"].tolist() == [0, 0, 0]
    assert groups.columns["wo"].tolist() == [0] * 7


def test_a_gemm_that_transposes_its_input_is_no_layer() -> None:
    nodes = [
        node("Gemm", ["x", "w0"], ["a"]),
        node("Gemm", ["a", "w1"], ["b"], transA=1),
        node("Gemm", ["b", "w2"], ["y"]),
    ]
    weights = {name: random(3, 3, seed=seed) for seed, name in enumerate(["w0", "w1", "w2"])}
    groups = checked_groups(net(nodes, weights, [3, 3]))
    assert groups.count == 0
    assert "w1" not in groups.rows


def test_a_weight_that_is_an_output_keeps_its_scale() -> None:
    model = between([node("Relu", ["a"], ["b"])], {}, 4)
    model.graph.output.add().name = "w2"
    model.graph.output[1].type.CopyFrom(model.graph.output[0].type)
    groups = checked_groups(model)
    assert groups.count == 0
    assert "w2" not in groups.rows


def test_a_shared_or_computed_weight_keeps_its_scale() -> None:
    nodes = [
        node("Gemm", ["x", "w0"], ["a"]),
        node("Gemm", ["a", "shared"], ["b"]),
        node("Gemm", ["b", "shared"], ["c"]),
        node("Gemm", ["c", "w1"], ["d"]),
        node("Transpose", ["before"], ["after"]),
        node("MatMul", ["d", "after"], ["y"]),
    ]
    names = ["w0", "shared", "w1", "before"]
    weights = {name: random(3, 3, seed=seed) for seed, name in enumerate(names)}
    groups = checked_groups(net(nodes, weights, ["n", 3]))
    assert groups.count == 0
    assert set(groups.rows) == set(groups.columns) == {"w0", "w1"}


def test_an_output_of_the_model_is_pinned() -> None:
    model = between([node("Relu", ["a"], ["b"])], {}, 4)
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "b"
    assert checked_groups(model).count == 0


@pytest.mark.parametrize("x", [["n", 3, "h", "w"], None], ids=["open size", "no shape"])
def test_an_input_of_unknown_size_pins_everything(x: Sequence[int | str] | None) -> None:
    model = net([node("Conv", ["x", "w"], ["a"]), node("Conv", ["a", "v"], ["y"])], TWO, x)
    groups = channel_groups(model)
    assert groups.count == 0
    assert groups.rows["w"].tolist() == groups.columns["v"].tolist() == [-1] * 4
    assert rescaled(model, groups, np.ones(0)) == model


TWO = {"w": random(4, 3, 1, 1), "v": random(2, 4, 1, 1)}


def test_a_fixed_batch_is_kept() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Reshape", ["a", "shape"], ["b"]),
        node("MatMul", ["b", "m"], ["y"]),
    ]
    weights = {"w": random(4, 3, 1, 1), "shape": ints(128, 64), "m": random(64, 5)}
    groups = checked_groups(net(nodes, weights, [128, 3, 4, 4]))
    assert groups.columns["m"].tolist() == [channel for channel in FREE for _ in range(16)]


def test_a_slice_of_the_batch_is_pinned() -> None:
    nodes = [
        node("Gemm", ["x", "w1"], ["a"]),
        node("Gather", ["a", "order"], ["b"], axis=1),
        node("Slice", ["a", "one", "two", "zero"], ["c"]),
        node("Sub", ["b", "c"], ["d"]),
        node("Gemm", ["d", "w2"], ["y"]),
    ]
    indices = {"zero": ints(0), "one": ints(1), "two": ints(2), "order": ints(1, 2, 0)}
    model = net(nodes, {"w1": random(3, 3), "w2": random(3, 3), **indices}, ["n", 3])
    assert checked_groups(model).count == 0


def test_pad_slice_and_upsample_of_old_operator_sets_are_understood() -> None:
    nodes = [
        node("Pad", ["a"], ["c"], pads=[0, 0, 1, 1, 0, 0, 0, 0]),
        node("Slice", ["c"], ["d"], axes=[1], starts=[1], ends=[4]),
        node("Upsample", ["d"], ["b"], scales=[1.0, 1.0, 2.0, 2.0]),
    ]
    groups = checked_groups(between(nodes, {}, 3, opset=7))
    assert groups.columns["w2"].tolist() == [1, 2, 3]


def test_an_old_pad_with_twos_pins() -> None:
    nodes = [node("Pad", ["a"], ["b"], pads=[0, 0, 1, 1, 0, 0, 0, 0], value=2.0)]
    assert checked_groups(between(nodes, {}, 4, opset=7)).count == 0


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Dropout", ["a", "half", "yes"], ["b"])],
        [node("Bernoulli", ["low"], ["c"]), node("Add", ["a", "c"], ["b"])],
    ],
    ids=["Dropout in training", "Bernoulli"],
)
def test_random_values_are_pinned(nodes: Sequence[NodeProto]) -> None:
    weights = {
        "half": np.float32(0.5),
        "yes": np.array(True),
        "low": np.full((4, 1, 1), 1e-6, np.float32),
    }
    assert channel_groups(between(nodes, weights, 4)).count == 0


def of_file(path: Path) -> ChannelGroups:
    model, _ = fold_batch_norm(load(path))
    groups = checked_groups(model, 1, rtol=1e-4)
    assert set(groups.rows) <= {weight.name for weight in find_weights(model)[0]}
    return groups


@pytest.mark.parametrize(
    ("name", "count"),
    [("autoencoder", 104), ("depthwise", 384), ("resnet", 144), ("transformer", 96), ("vgg", 144)],
)
def test_the_models_of_the_project_have_as_many_groups_as_known(
    models: Path, name: str, count: int
) -> None:
    assert of_file(models / f"digits_{name}.onnx").count == count


@pytest.mark.shared
@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("cifar10/resnet20", 400),
        ("detection/nanodet_320", 8314),
        ("imagenet_sample/squeezenet1_1", 2944),
        ("keyword_spotting/ds_cnn", 576),
        ("mlperf_tiny/ad_autoencoder", 1032),
        ("mlperf_tiny/ic_resnet8", 224),
        ("mlperf_tiny/vww_mobilenet", 2736),
    ],
)
def test_real_models_have_as_many_groups_as_known(shared: Path, path: str, count: int) -> None:
    assert of_file(shared / f"{path}.onnx").count == count


def test_one_channel_has_a_group() -> None:
    nodes = [node("Gemm", ["x", "w"], ["a"]), node("Gemm", ["a", "v"], ["y"])]
    groups = checked_groups(net(nodes, {"w": random(3, 1), "v": random(1, 2)}, ["n", 3]))
    assert groups.rows["w"].tolist() == groups.columns["v"].tolist() == [0]


def test_channels_on_the_left_of_a_product_are_summed_along_its_last_axis() -> None:
    nodes = [
        node("MatMul", ["x", "wv"], ["v"]),
        node("Sigmoid", ["x"], ["p"]),
        node("MatMul", ["v", "p"], ["o"]),
        node("MatMul", ["o", "wo"], ["y"]),
    ]
    weights = {"wv": random(3, 3), "wo": random(3, 2)}
    groups = checked_groups(net(nodes, weights, ["n", 3, 3]))
    assert groups.rows["wv"].tolist() == groups.columns["wo"].tolist() == [0, 0, 0]


def test_channels_may_be_multiplied_with_a_matrix_that_is_no_initializer() -> None:
    nodes = [
        node("Gemm", ["x", "w"], ["a"]),
        node("Neg", ["p"], ["q"]),
        node("MatMul", ["a", "q"], ["b"]),
        node("Gemm", ["b", "v"], ["y"]),
    ]
    weights = {"w": random(3, 4), "p": random(4, 5), "v": random(5, 2)}
    groups = checked_groups(net(nodes, weights, ["n", 3]))
    assert groups.rows["w"].tolist() == [0] * 4
    assert groups.columns["v"].tolist() == [0] * 5


def test_an_operator_of_another_domain_pins() -> None:
    model = between([node("Relu", ["a"], ["b"])], {}, 4)
    assert channel_groups(model).count == 4
    model.graph.node[1].domain = "com.example"
    assert channel_groups(model).count == 0


@pytest.mark.parametrize(("most", "count"), [(4, 4), (3, 0)])
def test_constants_are_computed_from_few_values_only(
    monkeypatch: pytest.MonkeyPatch, most: int, count: int
) -> None:
    assert scale_groups._MOST_INPUT_VALUES == 65_536
    monkeypatch.setattr(scale_groups, "_MOST_INPUT_VALUES", most)
    nodes = [
        node("Concat", ["n", "rest"], ["shape"], axis=0),
        node("Reshape", ["a", "shape"], ["b"]),
    ]
    weights = {"n": ints(-1), "rest": ints(4, 4, 4)}
    assert channel_groups(between(nodes, weights, 4)).count == count
