"""Linear layers that own their weights, and the channels that each weight connects."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import model_of, node, random
from onnx import NodeProto, numpy_helper

from onnx_evoq.model import load
from onnx_evoq.model.layers.linear_layers import LinearLayer, linear_layers, weight_channels

IMAGE = ["n", 4, 5, 5]


def layers_of(
    nodes: Sequence[NodeProto], x: Sequence[int | str] = ("n", 4), y: Sequence[str] = ("y",),
    **weights: np.ndarray,
) -> list[LinearLayer]:  # fmt: skip
    return linear_layers(load(model_of(nodes, {"x": x}, dict.fromkeys(y), weights)).graph)


def gemm(bias: np.ndarray, *more: NodeProto, y: Sequence[str] = ("y",)) -> LinearLayer:
    """A Gemm (4, 3) with a third input."""
    nodes = [node("Gemm", ["x", "w", "b"], ["y"]), *more]
    return layers_of(nodes, y=y, w=random(4, 3), b=bias)[0]


def connected(op_type: str, shape: tuple[int, ...], **attributes: int) -> tuple[list, list]:
    """The output channels and the input channels of a weight's entries."""
    tensor = numpy_helper.from_array(np.zeros(shape, np.float32), "w")
    found = weight_channels(node(op_type, ["x", "w"], ["y"], **attributes), tensor)
    outputs, inputs = (np.broadcast_to(channels, shape[:2]).tolist() for channels in found)
    return outputs, inputs


def test_a_convolution_has_rows_of_outputs() -> None:
    assert connected("Conv", (2, 3, 1, 1)) == ([[0, 0, 0], [1, 1, 1]], [[0, 1, 2], [0, 1, 2]])


def test_a_convolution_with_groups_reads_the_inputs_of_its_group() -> None:
    outputs, inputs = connected("Conv", (4, 2, 3), group=2)
    assert outputs == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert inputs == [[0, 1], [0, 1], [2, 3], [2, 3]]


def test_a_transposed_convolution_has_rows_of_inputs() -> None:
    outputs, inputs = connected("ConvTranspose", (4, 2, 3), group=2)
    assert outputs == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert inputs == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_a_matrix_has_its_outputs_along_the_side_that_the_node_says() -> None:
    rows, columns = [[0, 0, 0], [1, 1, 1]], [[0, 1, 2], [0, 1, 2]]
    assert connected("Gemm", (2, 3), transB=1) == (rows, columns)
    assert connected("Gemm", (2, 3)) == connected("MatMul", (2, 3)) == (columns, rows)


def test_a_layer_counts_its_channels() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], group=2)]
    (layer,) = layers_of(nodes, IMAGE, w=random(6, 2, 3, 3))
    assert (layer.output_channels, layer.input_channels, layer.output_axis) == (6, 4, 0)
    assert (layer.weight, layer.biases, layer.axis, layer.fixed) == ("w", (), 1, False)


@pytest.mark.parametrize(
    ("op_type", "attributes", "axis"),
    [("ConvTranspose", {}, 1), ("Gemm", {}, 1), ("Gemm", {"transB": 1}, 0), ("MatMul", {}, 1)],
)
def test_output_channels_lie_along_this_axis(op_type: str, attributes: dict, axis: int) -> None:
    spatial = op_type == "ConvTranspose"
    nodes = [node(op_type, ["x", "w"], ["y"], **attributes)]
    x, shape = (IMAGE, (4, 4, 2, 2)) if spatial else (["n", 4], (4, 4))
    (layer,) = layers_of(nodes, x, w=random(*shape))
    assert layer.output_axis == axis
    assert layer.axis == (1 if spatial else -1)


@pytest.mark.parametrize(
    ("nodes", "shape", "x"),
    [
        ([node("Gemm", ["x", "w"], ["y"], transA=1)], (4, 4), [4, 4]),
        ([node("MatMul", ["x", "w"], ["y"])], (2, 4, 3), [2, 2, 4]),
        ([node("MatMul", ["x", "w"], ["y"])], (4,), [2, 4]),
        ([node("MatMul", ["w", "x"], ["y"])], (4, 4), [4, 4]),
        ([node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "w"], ["y"])], (4, 4), [4, 4]),
        ([node("Mul", ["x", "w"], ["y"])], (4, 4), [4, 4]),
        ([node("Transpose", ["w"], ["v"]), node("MatMul", ["x", "v"], ["y"])], (4, 4), [4, 4]),
        ([node("MatMul", ["x", "w"], ["y"])], (4, 0), [4, 4]),
    ],
    ids=["transA", "3 axes", "vector", "left", "two readers", "Mul", "computed", "empty"],
)
def test_no_layer_reads_such_a_weight(nodes: list, shape: tuple, x: list) -> None:
    assert layers_of(nodes, x, w=random(*shape)) == []


def test_a_weight_that_is_an_output_belongs_to_no_layer() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    assert layers_of(nodes, y=("y", "w"), w=random(4, 3)) == []


def test_a_node_of_another_domain_is_no_layer() -> None:
    model = model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 4]}, {"y": None},
                     {"w": random(4, 3)})  # fmt: skip
    model.graph.node[0].domain = "com.example"
    assert linear_layers(model.graph) == []


def test_a_convolution_of_another_domain_is_no_layer() -> None:
    model = model_of([node("Conv", ["x", "w"], ["y"])], {"x": IMAGE}, {"y": None},
                     {"w": random(4, 4, 1, 1)})  # fmt: skip
    assert len(linear_layers(model.graph)) == 1
    model.graph.node[0].domain = "com.example"
    assert linear_layers(model.graph) == []


def test_layers_come_in_the_order_of_the_graph() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Gemm", ["a", "v"], ["y"])]
    assert [layer.weight for layer in layers_of(nodes, w=random(4, 3), v=random(3, 2))] == [
        "w",
        "v",
    ]


@pytest.mark.parametrize("shape", [(3,), (1, 3)], ids=str)
def test_a_third_input_per_channel_is_a_bias(shape: tuple[int, ...]) -> None:
    layer = gemm(random(*shape))
    assert (layer.biases, layer.fixed) == (("b",), False)


@pytest.mark.parametrize("shape", [(1,), (), (4, 3), (4, 1)], ids=str)
def test_a_third_input_of_another_shape_fixes_the_outputs(shape: tuple[int, ...]) -> None:
    layer = gemm(random(*shape))
    assert (layer.biases, layer.fixed) == ((), True)


def test_a_third_input_that_others_read_fixes_the_outputs() -> None:
    layer = gemm(random(3), node("Add", ["y", "b"], ["z"]), y=("z",))
    assert (layer.biases, layer.fixed) == ((), True)


def test_a_third_input_that_is_left_out_fixes_nothing() -> None:
    nodes = [node("Gemm", ["x", "w", ""], ["y"])]
    (layer,) = layers_of(nodes, w=random(4, 3))
    assert (layer.biases, layer.fixed) == ((), False)


@pytest.mark.parametrize(
    ("shape", "is_bias"),
    [((3, 1, 1), True), ((1, 3, 1, 1), True), ((3,), False), ((1, 1, 3), False), ((3, 1), False)],
    ids=str,
)
def test_a_term_per_channel_after_a_convolution_is_a_bias(shape: tuple, is_bias: bool) -> None:
    for terms in (["a", "b"], ["b", "a"]):
        nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", terms, ["y"])]
        (layer,) = layers_of(nodes, ["n", 4, 3, 3], w=random(3, 4, 1, 1), b=random(*shape))
        assert layer.biases == (("b",) if is_bias else ())
        assert not layer.fixed


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)], ids=str)
def test_one_value_is_a_bias_of_one_channel(shape: tuple[int, ...]) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    (layer,) = layers_of(nodes, ["n", 4, 3], w=random(1, 4, 1), b=random(*shape))
    assert layer.biases == ("b",)


def test_a_layer_may_have_two_biases() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("Add", ["a", "c"], ["y"])]
    (layer,) = layers_of(nodes, w=random(4, 3), b=random(3), c=random(3))
    assert layer.biases == ("c", "b")


def test_a_subtracted_constant_is_no_bias() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Sub", ["a", "b"], ["y"])]
    (layer,) = layers_of(nodes, w=random(4, 3), b=random(3))
    assert layer.biases == ()


def test_an_add_of_another_domain_holds_no_bias() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": None}, {"w": random(4, 3), "b": random(3)})
    model.graph.node[1].domain = "com.example"
    assert linear_layers(model.graph)[0].biases == ()
