"""Layers that are rebuilt from their codes compute what the quantized model does."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, rounded, run
from integer_nets import conv_task, quantized_conv_net
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from onnx_evoq.activations import integer_model
from onnx_evoq.model import emit_qdq, load
from onnx_evoq.model.c_header.coded_layers import CodedLayer, coded_layer
from onnx_evoq.model.c_header.qdq_graph import QdqGraph
from onnx_evoq.setup import nearest_of

Values = NDArray[np.floating]


def qdq(model: ModelProto, narrowest: int = 8) -> ModelProto:
    """The model with codes of 4 bits and a step per channel."""
    loaded = load(model)
    return emit_qdq(loaded, rounded(loaded, 4, channel=True), narrowest=narrowest)


def found_in(model: ModelProto, op_type: str) -> CodedLayer | str:
    """What its first node of that operator is."""
    graph = QdqGraph(load(model, quantized=True))
    return coded_layer(next(each for each in graph.nodes if each.op_type == op_type), graph)


def layer_in(model: ModelProto, op_type: str) -> CodedLayer:
    layer = found_in(model, op_type)
    assert isinstance(layer, CodedLayer), layer
    return layer


def rebuilt(layer: CodedLayer, x: Values) -> Values:
    """What a layer makes of float inputs, by all that the header says of it."""
    shape = [1] * layer.codes.ndim
    axis = 0 if layer.op_type == "Conv" or layer.transposed else 1
    shape[axis] = -1
    given: dict[str, Any] = {"transB": 1} if layer.transposed else {}
    if layer.window is not None:
        given = {
            "strides": layer.window.strides, "dilations": layer.window.dilations,
            "pads": layer.window.pads, "group": layer.groups,
        }  # fmt: skip
        if layer.op_type == "ConvTranspose":
            given["output_padding"] = layer.window.output_padding
    weight = layer.codes * layer.steps.reshape(shape)
    model = model_of(
        [node(layer.op_type, ["x", "w"], ["y"], **given)],
        {"x": list(x.shape)}, {"y": None}, {"w": weight.astype(np.float32)},
    )  # fmt: skip
    y = run(model, {"x": x})["y"]
    if layer.float_bias is not None:
        spread = [-1, *(1,) * len(layer.window.strides)] if layer.window else [-1]
        y = y + layer.float_bias.reshape(spread)
    return y


def one_layer(
    op_type: str, x: tuple[int, ...], w: tuple[int, ...], biases: int, **given: Any
) -> ModelProto:
    """x -> one layer -> y."""
    names = ["x", "w", "b"] if biases else ["x", "w"]
    weights = (
        {"w": random(*w, seed=1), "b": random(biases, seed=2)} if biases else {"w": random(*w)}
    )
    nodes = [node(op_type, names, ["y"], "only", **given)]
    return model_of(nodes, {"x": ["n", *x[1:]]}, {"y": None}, weights)


@pytest.mark.parametrize(
    ("op_type", "x", "w", "channels", "given"),
    [
        ("Conv", (2, 3, 7, 6), (4, 3, 3, 2), 4, {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
        ("Conv", (1, 4, 6, 6), (4, 1, 3, 3), 4, {"group": 4, "dilations": [2, 1]}),
        ("Conv", (1, 4, 9), (6, 2, 3), 6, {"group": 2, "strides": [2]}),
        ("Conv", (1, 2, 4, 5, 6), (3, 2, 2, 2, 2), 3, {"pads": [0, 1, 0, 1, 0, 1]}),
        ("Conv", (1, 2, 7, 8), (3, 2, 3, 4), 3, {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ("Conv", (1, 2, 7, 8), (3, 2, 4, 2), 3, {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
        ("Conv", (1, 2, 7, 8), (3, 2, 4, 2), 3, {"auto_pad": "VALID", "strides": [1, 2]}),
        ("ConvTranspose", (1, 4, 3, 3), (4, 5, 3, 3), 5,
         {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 0]}),
        ("Gemm", (2, 5), (5, 3), 3, {"alpha": 0.5, "beta": 3.0}),
        ("Gemm", (2, 5), (3, 5), 3, {"transB": 1}),
        ("MatMul", (2, 3, 5), (5, 4), 0, {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("narrowest", [4, 8])
def test_layers_compute_what_the_model_does(
    op_type: str, x: tuple[int, ...], w: tuple[int, ...], channels: int, given: dict[str, Any],
    narrowest: int,
) -> None:  # fmt: skip
    model = qdq(one_layer(op_type, x, w, channels, **given), narrowest)
    layer = layer_in(model, op_type)
    values = random(*x).astype(np.float32)
    expected = run(model, {"x": values})["y"]
    np.testing.assert_allclose(rebuilt(layer, values), expected, rtol=1e-4, atol=1e-5)
    assert (layer.name, layer.input, layer.output) == ("only", "x", "y")
    assert layer.codes.dtype == np.int8
    assert layer.codes.shape == w
    assert layer.channels == (channels or w[1])
    assert layer.bias is None


def test_groups_of_a_transposed_convolution_share_their_steps() -> None:
    model = qdq(one_layer("ConvTranspose", (1, 4, 3), (4, 3, 2), 6, group=2))
    layer = layer_in(model, "ConvTranspose")
    assert (layer.channels, layer.groups, layer.steps.size) == (6, 2, 3)
    values = random(1, 4, 3).astype(np.float32)
    expected = run(model, {"x": values})["y"]
    np.testing.assert_allclose(rebuilt(layer, values), expected, rtol=1e-4, atol=1e-5)


def test_the_bias_of_a_matmul_is_added_behind_it() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["b", "a"], ["y"])]
    weights = {"w": random(5, 4), "b": random(4, seed=1)}
    model = qdq(model_of(nodes, {"x": ["n", 5]}, {"y": None}, weights))
    layer = layer_in(model, "MatMul")
    assert layer.output == "y"
    assert [each.op_type for each in layer.joined] == ["Add"]
    np.testing.assert_array_equal(layer.float_bias, weights["b"])


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_a_bias_behind_a_matmul_may_have_axes_in_front(shape: tuple[int, ...]) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    weights = {"w": random(5, 4), "b": random(*shape, seed=1)}
    layer = layer_in(qdq(model_of(nodes, {"x": ["n", 5]}, {"y": None}, weights)), "MatMul")
    np.testing.assert_array_equal(layer.float_bias, weights["b"].reshape(-1))


def test_what_multiplies_a_product_is_no_bias() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Mul", ["a", "b"], ["y"])]
    weights = {"w": random(5, 4), "b": random(4, seed=1)}
    layer = layer_in(qdq(model_of(nodes, {"x": ["n", 5]}, {"y": None}, weights)), "MatMul")
    assert (layer.output, layer.float_bias) == ("a", None)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 3)])
def test_the_bias_of_a_gemm_is_spread_over_its_channels(shape: tuple[int, ...]) -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["y"])]
    weights = {"w": random(5, 3), "b": random(*shape, seed=1)}
    layer = layer_in(qdq(model_of(nodes, {"x": ["n", 5]}, {"y": None}, weights)), "Gemm")
    np.testing.assert_array_equal(layer.float_bias, np.broadcast_to(weights["b"].ravel(), 3))


@pytest.mark.parametrize("shape", [(2, 4), (1,), (4, 1)])
def test_what_is_no_number_per_channel_is_no_bias_of_a_matmul(shape: tuple[int, ...]) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    weights = {"w": random(5, 4), "b": random(*shape, seed=1)}
    layer = layer_in(qdq(model_of(nodes, {"x": ["n", 5]}, {"y": None}, weights)), "MatMul")
    assert (layer.output, layer.float_bias, layer.joined) == ("a", None, ())


def integer_net() -> ModelProto:
    """The convolutional net with integer weights, activations and biases."""
    task, activations = conv_task(), quantized_conv_net()
    quantized = nearest_of(task.weights, task.bits, "channel", "pow2")
    return integer_model(activations, activations.network, quantized)


def test_a_bias_counts_in_units_of_both_scales() -> None:
    model = integer_net()
    graph = QdqGraph(model)
    floats = {tensor.name: tensor for tensor in conv_task().model.graph.initializer}
    assert "b2" in floats
    layers = [coded_layer(each, graph) for each in graph.nodes if each.op_type in ("Conv", "Gemm")]
    assert len(layers) == 3
    for layer in layers:
        assert isinstance(layer, CodedLayer)
        assert layer.bias is not None
        assert (layer.bias.dtype, layer.float_bias) == (np.int32, None)
        assert {layer.input} <= graph.formats.keys()
    second = layers[1]
    assert isinstance(second, CodedLayer)
    values = second.bias * graph.formats[second.input].scale * second.steps
    np.testing.assert_allclose(values, random(6, seed=7), atol=second.steps.max() / 8)


def test_a_bias_in_other_units_is_a_float() -> None:
    model = integer_net()
    nodes = {name: each for each in model.graph.node for name in each.output}
    conv = next(each for each in model.graph.node if each.op_type == "Conv")
    scale = nodes[conv.input[2]].input[1]
    tensor = next(t for t in model.graph.initializer if t.name == scale)
    halved = np.frombuffer(tensor.raw_data, np.float32) / 2
    before = layer_in(model, "Conv")
    tensor.raw_data = halved.tobytes()
    after = layer_in(model, "Conv")
    assert before.bias is not None
    assert after.bias is None
    np.testing.assert_allclose(after.float_bias, before.bias * halved)


def with_float_bias(bias: list[float], behind: list[NodeProto], last: str) -> ModelProto:
    """x in steps of .5 -> Gemm with steps of .25 and .3, and a bias -> behind -> codes of y."""
    nodes = [
        node("QuantizeLinear", ["x", "half", "zero"], ["x_codes"]),
        node("DequantizeLinear", ["x_codes", "half", "zero"], ["x_again"]),
        node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"], axis=1),
        node("Gemm", ["x_again", "w", "bias"], ["a"]),
        *behind,
        node("QuantizeLinear", [last, "half", "zero"], ["y_codes"]),
        node("DequantizeLinear", ["y_codes", "half", "zero"], ["y"]),
    ]
    weights = {
        "half": np.float32(0.5), "zero": np.int8(-3), "codes": np.ones((2, 2), np.int8),
        "steps": np.array([0.25, 0.3], np.float32), "zeros": np.zeros(2, np.int8),
        "bias": np.array(bias, np.float32), "most": np.float32(6),
    }  # fmt: skip
    return model_of(nodes, {"x": [1, 2]}, {"y": None}, weights, opset=13)


def test_a_float_bias_of_whole_units_counts_in_them() -> None:
    layer = layer_in(with_float_bias([-0.375, 1234 * 0.15], [], "a"), "Gemm")
    assert layer.bias is not None
    assert (layer.bias.tolist(), layer.float_bias) == ([-3, 1234], None)
    assert layer.bias.dtype == np.int32


@pytest.mark.parametrize(
    "bias", [[0.1, 0.15], [0.125, 0.16], [2.0**28, 0], [0.125, 1234.01 * 0.15]]
)
def test_a_float_bias_between_the_units_or_too_large_for_32_bits_stays(bias: list[float]) -> None:
    layer = layer_in(with_float_bias(bias, [], "a"), "Gemm")
    assert layer.bias is None
    np.testing.assert_array_equal(layer.float_bias, np.float32(bias))


def test_the_zero_point_of_a_bias_counts() -> None:
    model = with_float_bias([0, 0], [], "a")
    codes = {"b_codes": np.array([5, 9], np.int8), "b_zero": np.int8(4), "b_step": np.float32(0.1)}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), n) for n, v in codes.items()
    )
    model.graph.node.insert(3, node("DequantizeLinear", ["b_codes", "b_step", "b_zero"], ["b"]))
    model.graph.node[4].input[2] = "b"
    np.testing.assert_allclose(layer_in(model, "Gemm").float_bias, [0.1, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("behind", "lowest", "highest"),
    [
        (node("Relu", ["a"], ["r"]), -3, 127),
        (node("Clip", ["a", "", "most"], ["r"]), -128, 9),
    ],
)
def test_a_relu_or_a_clip_behind_a_layer_is_part_of_it(
    behind: NodeProto, lowest: int, highest: int
) -> None:
    model = with_float_bias([0, 0], [behind], "r")
    layer = layer_in(model, "Gemm")
    assert layer.output == "y"
    assert list(layer.joined) == [behind]
    found = QdqGraph(model).formats["y"]
    assert (found.lowest, found.highest) == (lowest, highest)


def test_a_relu_may_follow_the_bias_of_a_matmul() -> None:
    behind = [node("Add", ["a", "bias"], ["s"]), node("Relu", ["s"], ["r"])]
    model = with_float_bias([0.1, 0.2], behind, "r")
    model.graph.node[3].CopyFrom(node("MatMul", ["x_again", "w"], ["a"]))
    layer = layer_in(model, "MatMul")
    assert (layer.output, list(layer.joined)) == ("y", behind)


def with_codes(
    last: NodeProto, codes: NDArray[np.generic] | None = None, axis: int = 1, zero: int = 0
) -> ModelProto:
    """x (2, 2) -> `last`, with a weight w that comes from codes."""
    values = np.ones((2, 2), np.int8) if codes is None else codes
    weights = {
        "c": values, "s": np.array([1, 2], np.float32),
        "z": np.array([0, zero], values.dtype), "b": random(2, 1, seed=1),
        "nan": np.array([1, np.nan], np.float32),
    }  # fmt: skip
    nodes = [node("DequantizeLinear", ["c", "s", "z"], ["w"], axis=axis), last]
    return model_of(nodes, {"x": [2, 2]}, {"y": None}, weights, opset=21, ir_version=10)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (with_codes(node("MatMul", ["x", "x"], ["y"])), "its weight has no codes"),
        (with_codes(node("MatMul", ["w", "x"], ["y"])), "its weight is on the left"),
        (with_codes(node("Gemm", ["x", "w"], ["y"], transA=1)), "its input is transposed"),
        (with_codes(node("Gemm", ["x", "w"], ["y"], transB=1)),
         "its steps do not lie along its output channels"),
        (with_codes(node("Gemm", ["x", "w"], ["y"]), np.ones((2, 2), np.uint8)),
         "the codes of its weight are no signed numbers, or have a zero point"),
        (with_codes(node("Gemm", ["x", "w"], ["y"]), zero=1),
         "the codes of its weight are no signed numbers, or have a zero point"),
        (with_codes(node("Gemm", ["x", "w"], ["y"]), np.ones((2, 2), np.int16)),
         "the codes of its weight have more than 8 bits"),
        (with_codes(node("MatMul", ["x", "w"], ["y"]), np.ones((1, 2, 2), np.int8)),
         "its weight has 3 axes, and not 2"),
        (with_codes(node("Gemm", ["x", "w", "x"], ["y"])), "its bias is computed"),
        (with_codes(node("Gemm", ["x", "w", "nan"], ["y"])),
         "its bias is not one finite number for each channel"),
        (with_codes(node("Gemm", ["x", "w", "b"], ["y"])),
         "its bias is not one finite number for each channel"),
        (with_codes(node("Conv", ["x", "w"], ["y"]), np.ones((2, 1, 1, 1, 1, 1), np.int8), 0),
         "its weight has 6 axes, and not 3 to 5"),
        (with_codes(node("Gemm", ["x", "w", "w"], ["y"])),
         "its bias is not one finite number for each channel"),
    ],
)  # fmt: skip
def test_other_layers_have_the_reason(model: ModelProto, reason: str) -> None:
    graph = QdqGraph(model)
    assert coded_layer(graph.nodes[-1], graph) == reason


@pytest.mark.parametrize(
    ("op_type", "x", "given"),
    [
        ("Conv", ["n", 2, "h", "w"], {"auto_pad": "SAME_UPPER"}),
        ("Conv", [1, 2, 7, "w"], {"auto_pad": "SAME_UPPER"}),
        ("ConvTranspose", [1, 2, 7, 7], {"auto_pad": "SAME_LOWER"}),
        ("ConvTranspose", [1, 2, 7, 7], {"output_shape": [9, 9]}),
    ],
)
def test_padding_that_depends_on_sizes_is_a_reason(
    op_type: str, x: list[int | str], given: dict[str, Any]
) -> None:
    weights = {"w": random(2, 2, 3, 3)}
    nodes = [node(op_type, ["x", "w"], ["y"], strides=[2, 2], **given)]
    model = qdq(model_of(nodes, {"x": x}, {"y": None}, weights))
    assert found_in(model, op_type) == "its padding depends on the size of its input or output"


def test_half_floats_are_cast() -> None:
    weights = {"w": random(5, 4, dtype="float16"), "b": random(4, seed=1, dtype="float16")}
    nodes = [node("Gemm", ["x", "w", "b"], ["y"])]
    model = model_of(nodes, {"x": ["n", 5]}, {"y": None}, weights, dtype="float16")
    layer = layer_in(qdq(model), "Gemm")
    assert layer.float_bias is not None
    assert layer.float_bias.dtype == np.float32
    np.testing.assert_array_equal(layer.float_bias, weights["b"].astype(np.float32))
    assert TensorProto.FLOAT16 in {t.data_type for t in qdq(model).graph.initializer}
