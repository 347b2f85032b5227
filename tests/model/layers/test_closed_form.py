"""The layers with a closed form: their matrix, bias, residual sum and activation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import body, conv_net, looped, mlp, model_of, node, random, two_rates
from onnx import NodeProto, TensorProto, helper

from onnx_evoq.model import Layer, find_layers, find_weights, fold_batch_norm, load
from onnx_evoq.quantize import Activation, Dense, Window

IMAGE = {"x": ["n", 4, 8, 8]}
ROW = {"x": ["n", 4]}


def layers_of(
    nodes: Sequence[NodeProto], inputs: dict[str, Any], outputs: dict[str, Any], **weights: Any
) -> dict[str, Layer]:
    model = load(model_of(nodes, inputs, outputs, weights))
    return find_layers(model, find_weights(model)[0])


def conv_layer(
    kind: str = "Conv", shape: tuple[int, ...] = (4, 4, 3, 3), **attributes: Any
) -> Layer | None:
    """The layer of a convolution alone."""
    nodes = [node(kind, ["x", "w"], ["y"], **attributes)]
    return layers_of(nodes, IMAGE, {"y": None}, w=random(*shape)).get("w")


def gemm_layer(inputs: Sequence[str] = ("x", "w", "b"), **attributes: Any) -> Layer | None:
    """The layer of a Gemm with weight (4, 4) and bias (4,)."""
    nodes = [node("Gemm", inputs, ["y"], **attributes)]
    return layers_of(nodes, ROW, {"y": None}, w=random(4, 4), b=random(4)).get("w")


def added(bias: np.ndarray, nodes: Sequence[NodeProto] = (), **outputs: Any) -> Layer:
    """The layer of a MatMul (4, 3) with an Add behind it, and more nodes."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["s"]), *nodes]
    return layers_of(nodes, ROW, outputs or {"s": None}, w=random(4, 3), b=bias)["w"]


# What becomes a matrix


@pytest.mark.parametrize("trans_b", [0, 1])
def test_a_gemm_is_dense(trans_b: int) -> None:
    layer = gemm_layer(transB=trans_b)
    assert layer == Layer(
        "w", Dense("...k,nk->...n" if trans_b else "...k,kn->...n"), "x", "y", "b"
    )


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"transA": 1}, Dense("...km,kn->...mn")),
        ({"transA": 1, "transB": 1}, Dense("...km,nk->...mn")),
        ({"alpha": 2.0}, Dense("...k,kn->...n", 2.0)),
    ],
    ids=str,
)
def test_a_gemm_may_scale_or_transpose_its_input(
    attributes: dict[str, Any], expected: Dense
) -> None:
    assert gemm_layer(**attributes) == Layer("w", expected, "x", "y", "b")


def test_a_gemm_without_its_product_has_no_layer() -> None:
    assert gemm_layer(alpha=0.0) is None


def test_a_gemm_may_have_its_weight_in_front() -> None:
    assert gemm_layer(["w", "x"]) == Layer("w", Dense("...kn,mk->...mn"), "x", "y", None)
    # A value for each column is no bias of the rows.
    hidden = gemm_layer(["w", "x", "b"])
    assert hidden is not None
    assert (hidden.output, hidden.bias) == (None, None)


def test_a_matmul_multiplies_from_either_side() -> None:
    right = layers_of([node("MatMul", ["x", "w"], ["y"])], ROW, {"y": None}, w=random(4, 3))
    left = layers_of([node("MatMul", ["w", "x"], ["y"])], ROW, {"y": None}, w=random(3, 4))
    assert right["w"].linear == Dense("...k,kn->...n")
    assert left["w"].linear == Dense("...kn,mk->...mn")


@pytest.mark.parametrize("order", [["x", "w"], ["w", "x"]])
def test_a_matmul_may_have_a_matrix_for_each_head(order: list[str]) -> None:
    nodes = [node("MatMul", order, ["m"]), node("Add", ["m", "b"], ["y"])]
    bias, shape = ((2, 1, 3), (2, 4, 3)) if order[0] == "x" else ((2, 3, 1), (2, 3, 4))
    layers = layers_of(nodes, {"x": ["n", 2, 4, 4]}, {"y": None}, w=random(*shape), b=random(*bias))
    right = order[0] == "x"
    equation = "...amk,akn->...amn" if right else "...akn,amk->...amn"
    assert layers["w"] == Layer("w", Dense(equation), "x", "y", "b")


def test_a_weight_times_a_constant_has_no_layer() -> None:
    nodes = [
        node("Neg", ["k"], ["c"]),
        node("MatMul", ["c", "w"], ["a"]),
        node("MatMul", ["x", "a"], ["y"]),
    ]
    assert "w" not in layers_of(nodes, ROW, {"y": None}, w=random(4, 3), k=random(4, 4))


def test_a_convolution_is_a_window() -> None:
    layer = conv_layer(shape=(4, 2, 3, 1), strides=[2, 1], dilations=[1, 2], pads=[1, 0, 2, 1],
                       group=2)  # fmt: skip
    assert layer is not None
    assert layer.linear == Window((3, 1), (2, 1), (1, 2), (1, 0, 2, 1), 2)


def test_a_convolution_without_attributes_has_the_defaults_of_onnx() -> None:
    layer = conv_layer()
    assert layer == Layer("w", Window((3, 3), (1, 1), (1, 1), (0, 0, 0, 0)), "x", "y", None)


@pytest.mark.parametrize(
    ("padding", "pads", "before"),
    [
        ("SAME_UPPER", None, False),
        ("SAME_LOWER", None, True),
        ("VALID", (0, 0, 0, 0), False),
        ("NOTSET", (0, 0, 0, 0), False),
    ],
)
def test_a_convolution_may_pad_by_itself(padding: str, pads: object, before: bool) -> None:
    layer = conv_layer(auto_pad=padding)
    assert layer is not None
    assert isinstance(layer.linear, Window)
    assert (layer.linear.pads, layer.linear.pad_before) == (pads, before)


def test_a_transposed_convolution_is_a_window_too() -> None:
    layer = conv_layer("ConvTranspose", (4, 3, 3, 3), strides=[2, 2], pads=[1, 1, 2, 2])
    assert layer is not None
    assert layer.linear == Window((3, 3), (2, 2), (1, 1), (1, 1, 2, 2), 1, transposed=True)


@pytest.mark.parametrize(
    "attributes",
    [{"output_shape": [10, 10]}, {"auto_pad": "SAME_UPPER"}, {"pads": [3, 0, 0, 0]}],
    ids=str,
)
def test_a_transposed_convolution_with_other_pads_has_no_layer(
    attributes: dict[str, Any],
) -> None:
    assert conv_layer("ConvTranspose", (4, 4, 3, 3), **attributes) is None


@pytest.mark.parametrize("pads", [[2, 0, 0, 0], [0, 4, 0, 0], [0, 0, 3, 5]], ids=str)
def test_a_transposed_convolution_may_crop_the_reach_of_its_kernel(pads: list[int]) -> None:
    shape, dilations = (4, 4, 3, 3), [1, 2]  # a reach of 2 and 4
    assert conv_layer("ConvTranspose", shape, pads=pads, dilations=dilations) is not None
    more = [pads[0] + 3, *pads[1:]]
    assert conv_layer("ConvTranspose", shape, pads=more, dilations=dilations) is None


def test_a_convolution_along_one_axis_has_a_layer() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"])]
    layers = layers_of(nodes, {"x": ["n", 4, 9]}, {"y": None}, w=random(5, 4, 3))
    assert layers["w"].linear == Window((3,), (1,), (1,), (0, 0))


def test_a_weight_that_two_nodes_read_has_two_layers_that_are_tied() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "w"], ["y"])]
    layer = layers_of(nodes, ROW, {"y": None}, w=random(4, 4))["w"]
    linear = Dense("...k,kn->...n")
    assert layer.uses == (
        Layer("w", linear, "x", "a", None, tied=layer.tied), Layer("w", linear, "a", "y", None),
    )  # fmt: skip


def test_a_table_that_is_a_weight_elsewhere_has_the_layer_of_that_weight() -> None:
    nodes = [
        node("Gather", ["t", "i"], ["e"]),
        node("Transpose", ["t"], ["v"]),
        node("MatMul", ["e", "v"], ["y"]),
    ]
    table = random(9, 3)
    model = load(model_of(nodes, {"i": ["n"]}, {"y": None}, {"t": table}, dtypes={"i": "int64"}))
    layer = find_layers(model, find_weights(model)[0])["t"]
    assert (layer.input, layer.output, layer.tied) == ("e", "y", ())
    np.testing.assert_array_equal(layer.linear.matrix(table)[0], table)


def test_a_table_has_no_layer() -> None:
    nodes = [node("Gather", ["t", "i"], ["y"])]
    model = load(
        model_of(nodes, {"i": ["n"]}, {"y": None}, {"t": random(9, 3)}, dtypes={"i": "int64"})
    )
    assert find_layers(model, find_weights(model)[0]) == {}


def test_a_weight_that_two_branches_read_has_a_layer_in_each() -> None:
    def branch(name: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])
        return helper.make_graph([node("MatMul", ["x", "w"], [name])], name, [], [value])

    nodes = [node("If", ["f"], ["y"], then_branch=branch("t"), else_branch=branch("e"))]
    model = model_of(nodes, {**ROW, "f": [1]}, {"y": None}, {"w": random(4, 4)},
                     dtypes={"f": "bool"})  # fmt: skip
    model = load(model)
    layer = find_layers(model, find_weights(model)[0])["w"]
    assert [use.output for use in layer.uses] == ["e, inside", "t, inside"]


def test_only_the_weights_that_are_asked_for_have_a_layer() -> None:
    model = load(mlp())
    weights = [weight for weight in find_weights(model)[0] if weight.name == "second"]
    assert list(find_layers(model, weights)) == ["second"]


def test_layers_come_in_the_graphs_order() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    weights = find_weights(model)[0]
    assert list(find_layers(model, weights[::-1])) == ["w1", "w2", "w3"]


# Which bias


HIDDEN = Layer("w", Dense("...k,kn->...n"), "x", None, None)


def test_a_third_input_that_others_read_is_no_bias() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("Add", ["a", "b"], ["y"])]
    assert layers_of(nodes, ROW, {"y": None}, w=random(4, 4), b=random(4))["w"] == HIDDEN


@pytest.mark.parametrize("shape", [(1,), (3, 4), ()], ids=str)
def test_a_third_input_of_another_shape_is_no_bias(shape: tuple[int, ...]) -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("Relu", ["a"], ["y"])]
    layers = layers_of(nodes, {"x": [3, 4]}, {"y": None}, w=random(4, 4), b=random(*shape))
    assert layers["w"] == HIDDEN  # nor is what hides errors of the product known


def test_a_third_input_that_is_scaled_is_no_bias() -> None:
    assert gemm_layer(beta=0.5) == HIDDEN


def test_a_third_input_that_a_node_computes_is_the_other_term_of_a_sum() -> None:
    nodes = [node("Gemm", ["x", "w", "x"], ["a"]), node("Relu", ["a"], ["y"])]
    layers = layers_of(nodes, ROW, {"y": None}, w=random(4, 4))
    assert layers["w"] == replace(HIDDEN, other="x", activation=Activation())
    scaled = [node("Gemm", ["x", "w", "x"], ["a"], beta=2.0), nodes[1]]
    assert layers_of(scaled, ROW, {"y": None}, w=random(4, 4))["w"] == HIDDEN


@pytest.mark.parametrize("shape", [(1,), (1, 1)], ids=str)
def test_one_value_is_the_bias_of_one_channel(shape: tuple[int, ...]) -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["y"])]
    layers = layers_of(nodes, ROW, {"y": None}, w=random(4, 1), b=random(*shape))
    assert layers["w"].bias == "b"


def test_a_row_is_a_bias_too() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["y"])]
    layers = layers_of(nodes, ROW, {"y": None}, w=random(4, 3), b=random(1, 3))
    assert layers["w"].bias == "b"


@pytest.mark.parametrize("shape", [(3,), (1, 3)], ids=str)
def test_an_add_behind_a_matmul_holds_its_bias(shape: tuple[int, ...]) -> None:
    layer = added(random(*shape))
    assert (layer.output, layer.bias) == ("s", "b")


@pytest.mark.parametrize("shape", [(1,), (2, 3), (2, 1)], ids=str)
def test_an_added_constant_of_another_shape_is_no_bias(shape: tuple[int, ...]) -> None:
    layer = added(random(*shape))
    assert (layer.output, layer.bias, layer.sum) == ("a", None, None)


def test_an_added_constant_that_others_read_is_no_bias() -> None:
    layer = added(random(3), [node("Mul", ["s", "b"], ["y"])], y=None)
    assert (layer.output, layer.bias) == ("a", None)


def test_an_added_constant_that_is_an_output_is_no_bias() -> None:
    layer = added(random(3), s=None, b=[3])
    assert (layer.output, layer.bias) == ("a", None)


def test_an_output_of_the_model_ends_the_layer_before_its_add() -> None:
    layer = added(random(3), s=None, a=None)
    assert (layer.output, layer.bias) == ("a", None)


def test_an_output_with_two_readers_ends_the_layer_before_its_add() -> None:
    layer = added(random(3), [node("Mul", ["s", "a"], ["y"])], y=None)
    assert (layer.output, layer.bias) == ("a", None)


def test_an_add_behind_a_convolution_holds_its_bias() -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    for shape, bias in (((4, 1, 1), "b"), ((1, 4, 1, 1), "b"), ((4,), None), ((1, 1, 6), None)):
        layers = layers_of(nodes, IMAGE, {"y": None}, w=random(4, 4, 3, 3), b=random(*shape))
        assert layers["w"].bias == bias, shape


def test_with_the_weight_on_the_left_channels_lie_along_the_rows() -> None:
    nodes = [node("MatMul", ["w", "x"], ["a"]), node("Add", ["a", "b"], ["y"])]
    for shape, bias in (((3, 1), "b"), ((3,), None)):
        layers = layers_of(nodes, {"x": ["n", 4, 3]}, {"y": None}, w=random(3, 4), b=random(*shape))
        assert layers["w"].bias == bias, shape


# Which sum


def test_a_residual_branch_ends_in_a_sum() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    layers = find_layers(model, find_weights(model)[0])
    assert {name: (each.sum, each.other) for name, each in layers.items()} == {
        "w1": (None, None),
        "w2": ("e", "c"),
        "w3": (None, None),
    }


def test_a_branch_may_have_its_bias_and_then_the_sum() -> None:
    nodes = [node("MatMul", ["x", "v"], ["o"]), node("Add", ["o", "s"], ["y"])]
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["s"]), *nodes]
    layers = layers_of(nodes, ROW, {"y": None}, w=random(4, 3), b=random(3), v=random(4, 3))
    assert (layers["w"].output, layers["w"].bias) == ("s", "b")
    assert (layers["w"].sum, layers["w"].other) == ("y", "o")
    assert (layers["v"].sum, layers["v"].other) == ("y", "s")


@pytest.mark.parametrize("kind", ["Sub", "Mul"])
def test_a_difference_or_product_is_no_residual_sum(kind: str) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node(kind, ["a", "x"], ["y"])]
    assert layers_of(nodes, ROW, {"y": None}, w=random(4, 4))["w"].sum is None


def test_an_output_added_to_itself_is_no_residual_branch() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "a"], ["y"])]
    assert layers_of(nodes, ROW, {"y": None}, w=random(4, 4))["w"].sum is None


def test_an_output_that_others_read_is_no_residual_branch() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "x"], ["s"]),
        node("Mul", ["a", "s"], ["y"]),
    ]
    assert layers_of(nodes, ROW, {"y": None}, w=random(4, 4))["w"].sum is None


# Which activation


def activation(
    *behind: NodeProto, outputs: Sequence[str] = ("y",), **weights: Any
) -> Activation | None:
    """That of a MatMul (4, 4) with output "a" and nodes behind it."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), *behind]
    return layers_of(nodes, ROW, dict.fromkeys(outputs), w=random(4, 4), **weights)["w"].activation


def test_the_only_reader_of_the_output_is_the_activation() -> None:
    assert activation(node("Relu", ["a"], ["y"])) == Activation()
    assert activation(node("Sigmoid", ["a"], ["y"])) is None


def test_an_output_with_a_second_reader_has_no_activation() -> None:
    relu = node("Relu", ["a"], ["r"])
    assert activation(relu, outputs=["r", "a"]) is None
    assert activation(relu, node("Mul", ["a", "r"], ["y"])) is None


def test_an_output_that_a_body_reads_has_no_activation() -> None:
    def branch(name: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])
        return helper.make_graph([node("Relu", ["a"], [name])], name, [], [value])

    nodes = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Cast", ["m"], ["f"], to=TensorProto.BOOL),
        node("If", ["f"], ["y"], then_branch=branch("t"), else_branch=branch("e")),
    ]
    assert activation(*nodes) is None
    assert activation(*nodes, node("Relu", ["a"], ["r"]), outputs=["y", "r"]) is None


def test_the_activation_may_follow_the_bias() -> None:
    behind = [node("Add", ["a", "b"], ["s"]), node("Relu", ["s"], ["y"])]
    assert activation(*behind, b=random(4)) == Activation()


def test_the_activation_of_a_residual_branch_follows_its_sum() -> None:
    behind = [node("Add", ["a", "x"], ["s"]), node("Relu", ["s"], ["y"])]
    assert activation(*behind) == Activation()
    assert activation(*behind, outputs=["y", "s"]) is None


def test_a_sum_with_a_constant_has_no_activation() -> None:
    behind = [node("Add", ["a", "c"], ["s"]), node("Relu", ["s"], ["y"])]
    assert activation(*behind, c=random(1)) is None


# Layers in bodies


def branch_layer(*nodes: NodeProto, **weights: Any) -> Layer:
    """The layer of w in a branch that ends in o and computes `nodes`, from x (n, 4)."""
    other = body("other", [node("Neg", ["x"], ["p"])], "p")
    choice = node("If", ["flag"], ["y"], then_branch=body("one", nodes, "o"), else_branch=other)
    model = load(
        model_of([choice], {**ROW, "flag": []}, {"y": None}, weights, dtypes={"flag": "bool"})
    )
    return find_layers(model, find_weights(model)[0])["w"]


def test_a_layer_in_a_loop_has_the_names_that_its_tensors_are_shown_by() -> None:
    model = load(looped())
    layer = find_layers(model, find_weights(model)[0])["w1"]
    assert (layer.input, layer.output) == ("m, input 0 inside", "s, inside")
    assert (layer.bias, layer.activation) == ("b1", None)


def test_a_layer_in_each_branch_and_one_behind() -> None:
    model = load(two_rates())
    layers = find_layers(model, find_weights(model)[0])
    assert {name: (layer.input, layer.output) for name, layer in layers.items()} == {
        "w8": ("b, input 0 inside", "b, inside"),
        "w16": ("a, input 0 inside", "a, inside"),
        "w": ("z", "y"),
    }


def test_a_residual_sum_in_a_branch() -> None:
    layer = branch_layer(
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "x"], ["s"]),
        node("Relu", ["s"], ["o"]),
        w=random(4, 4),
    )
    assert (layer.input, layer.output) == ("a, input 0 inside", "a, inside")
    assert (layer.sum, layer.other) == ("s, inside", "s, input 1 inside")
    assert layer.activation == Activation()


def test_an_output_of_a_branch_ends_the_layer() -> None:
    layer = branch_layer(node("MatMul", ["x", "w"], ["o"]), w=random(4, 4))
    assert layer.output == "o, inside"


def test_a_weight_times_a_constant_of_a_branch_has_no_layer() -> None:
    nodes = [
        node("Exp", ["k"], ["c"]),
        node("MatMul", ["c", "w"], ["m"]),
        node("MatMul", ["x", "m"], ["o"]),
    ]
    with pytest.raises(KeyError):
        branch_layer(*nodes, k=random(4, 4), w=random(4, 4))


def test_an_activation_around_a_loop_is_none_of_the_layer_in_it() -> None:
    model = looped()
    turn = model.graph.node[0].attribute[0].g
    turn.node[2].op_type = "Identity"  # the state of the loop
    model.graph.node[1].op_type = "Relu"
    del model.graph.node[1].input[1:]
    model = load(model)
    assert find_layers(model, find_weights(model)[0])["w1"].activation is None


def test_a_layer_before_the_last_sigmoid_gives_scores() -> None:
    bias, sigmoid = random(3), node("Sigmoid", ["s"], ["p"])
    assert added(bias, [sigmoid], p=["n", 3]).gives_scores
    assert not added(bias).gives_scores
    assert not added(bias, [sigmoid, node("Mul", ["s", "p"], ["y"])], y=["n", 3]).gives_scores
