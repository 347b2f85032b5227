"""Tensors that have codes, found in graphs built by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import model_of, node
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.model.c_header.qdq_graph import CodeFormat, QdqGraph
from onnx_evoq.quantize import frac_bits_of

CONSTANTS = {
    "scale": np.float32(0.25), "zero": np.uint8(3), "low": np.uint8(2), "high": np.uint8(9),
    "zero16": np.uint16(7), "low32": np.int32(1), "high32": np.int32(99), "negative": np.int8(-5),
    "steps": np.array([0.5, 2], np.float32), "zeros": np.zeros(2, np.int8),
    "least": np.float32(-1), "most": np.float32(0.625), "far": np.float32(1e30),
    "codes": np.array([[1, -2], [3, -4], [5, -6]], np.int8),
}  # fmt: skip


def graph_of(*nodes: NodeProto, outputs: Sequence[str] = ("y",)) -> QdqGraph:
    """x (1, 3), and what some nodes make of it."""
    return QdqGraph(
        model_of(nodes, {"x": [1, 3]}, dict.fromkeys(outputs), CONSTANTS, opset=21, ir_version=10)
    )


def quantized(zero: str, *between: NodeProto, last: str = "q") -> list[NodeProto]:
    """x -> Neg -> a -> Q -> q -> `between` -> D -> b -> Relu -> y."""
    return [
        node("Neg", ["x"], ["a"]),
        node("QuantizeLinear", ["a", "scale", zero], ["q"]),
        *between,
        node("DequantizeLinear", [last, "scale", zero], ["b"]),
        node("Relu", ["b"], ["y"]),
    ]


def test_an_activation_has_the_name_and_the_shape_of_the_float_tensor() -> None:
    graph = graph_of(*quantized("zero"))
    assert graph.formats == {"a": CodeFormat(8, False, 0.25, 3, 0, 255)}
    assert graph.name_given("a") == graph.name_read("b") == "a"
    assert graph.dims("a") == (1, 3)
    assert graph.codes == {"q"}


def test_the_limits_of_the_codes_are_those_of_a_clip() -> None:
    graph = graph_of(*quantized("zero", node("Clip", ["q", "low", "high"], ["c"]), last="c"))
    assert graph.formats["a"] == CodeFormat(8, False, 0.25, 3, 2, 9)
    assert graph.codes == {"q", "c"}
    one_end = graph_of(*quantized("zero", node("Clip", ["q", "", "high"], ["c"]), last="c"))
    assert one_end.formats["a"] == CodeFormat(8, False, 0.25, 3, 0, 9)


def test_codes_of_16_bits_are_clipped_between_casts() -> None:
    between = [
        node("Cast", ["q"], ["wide"], to=TensorProto.INT32),
        node("Clip", ["wide", "low32", "high32"], ["clipped"]),
        node("Cast", ["clipped"], ["c"], to=TensorProto.UINT16),
    ]
    graph = graph_of(*quantized("zero16", *between, last="c"))
    assert graph.formats["a"] == CodeFormat(16, False, 0.25, 7, 1, 99)


@pytest.mark.parametrize(
    ("inputs", "lowest", "highest"),
    [
        (["x", "least", "most"], -9, -3),  # -1 / .25 - 5, and 2.5 to the even code
        (["x", "", "most"], -128, -3),
        (["x", "least", "far"], -9, 127),
        (["x", "least"], -9, 127),
        (["x"], -128, 127),
    ],
)
def test_the_limits_of_values_are_limits_of_their_codes(
    inputs: list[str], lowest: int, highest: int
) -> None:
    clipped = [node("Clip", inputs, ["a"]), *quantized("negative")[1:]]
    expected = CodeFormat(8, True, 0.25, -5, lowest, highest)
    assert graph_of(*clipped).formats["a"] == expected


def test_a_relu_gives_no_code_below_that_of_0() -> None:
    nodes = quantized("negative")
    nodes[0] = node("Relu", ["x"], ["a"])
    assert graph_of(*nodes).formats["a"] == CodeFormat(8, True, 0.25, -5, -5, 127)


def test_a_relu_that_others_read_or_that_is_not_quantized_is_no_limit() -> None:
    relu = [node("Neg", ["x"], ["z"]), node("Relu", ["z"], ["a"])]
    rest = quantized("negative")[1:]
    graph = graph_of(*relu, *rest)
    assert graph.limiting("z") is graph.nodes[1]
    assert (
        graph_of(*relu, *rest, node("Neg", ["a"], ["o"]), outputs=["y", "o"]).limiting("z") is None
    )
    assert (
        graph_of(*relu, *rest, node("Neg", ["z"], ["o"]), outputs=["y", "o"]).limiting("z") is None
    )
    assert graph_of(*relu, node("Neg", ["a"], ["y"])).limiting("z") is None
    computed = node("Clip", ["z", "x"], ["a"])
    assert graph_of(relu[0], computed, *rest).limiting("z") is None


def test_codes_may_be_signed() -> None:
    graph = graph_of(*quantized("negative"))
    assert graph.formats["a"] == CodeFormat(8, True, 0.25, -5, -128, 127)


def test_an_output_of_the_model_keeps_its_name() -> None:
    graph = graph_of(*quantized("zero")[:-1], outputs=["b"])
    assert list(graph.formats) == ["b"]
    assert graph.name_given("a") == "b"


def test_a_tensor_that_is_read_as_it_is_too_stays_apart_from_its_codes() -> None:
    graph = graph_of(*quantized("zero"), node("Neg", ["a"], ["z"]), outputs=["y", "z"])
    assert list(graph.formats) == ["b"]
    assert graph.name_given("a") == "a"
    assert graph.only_reader("a") is None


@pytest.mark.parametrize("inputs", [["a", "steps", "zeros"], ["a", "a", "zero"], ["a", "scale"]])
def test_what_has_several_or_computed_scales_or_no_zero_point_counts_as_float(
    inputs: list[str],
) -> None:
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("QuantizeLinear", inputs, ["q"]),
        node("DequantizeLinear", ["q", *inputs[1:]], ["y"]),
    ]
    graph = QdqGraph(
        helper.make_model(
            helper.make_graph(
                nodes, "test", [], [],
                [numpy_helper.from_array(np.asarray(v), name) for name, v in CONSTANTS.items()],
            )
        )
    )  # fmt: skip
    assert graph.formats == {}
    assert graph.name_given("a") == "a"


def test_a_constant_that_is_quantized_as_it_runs_is_no_activation() -> None:
    nodes = [
        node("QuantizeLinear", ["steps", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["b"]),
    ]
    graph = graph_of(*nodes, node("Add", ["x", "b"], ["y"]))
    assert graph.formats == {}
    assert graph.name_read("b") == "b"


def test_frac_bits_are_those_of_powers_of_two() -> None:
    assert CodeFormat(8, False, 0.125, 0, 0, 255).frac_bits == 3
    assert CodeFormat(8, False, 4.0, 0, 0, 255).frac_bits == -2
    assert CodeFormat(8, False, 0.3, 0, 0, 255).frac_bits is None
    found = frac_bits_of(np.array([1, 2.0**-126, 2.0**127], np.float32))
    assert found is not None
    assert found.tolist() == [0, 126, -127]
    assert frac_bits_of(np.array([1, 0.75], np.float32)) is None
    assert frac_bits_of(np.array([1, 2.0**-130], np.float32)) is None  # not a normal number


def test_a_constant_has_its_codes_and_steps() -> None:
    dequantize = node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"], axis=-1)
    graph = graph_of(dequantize, node("MatMul", ["x", "w"], ["y"]))
    found = graph.constant_codes("w")
    assert found is not None
    assert found.name == "codes"
    np.testing.assert_array_equal(found.codes, CONSTANTS["codes"])
    assert found.steps.tolist() == [0.5, 2]
    assert found.axis == 1
    assert graph.constant_codes("x") is None
    assert graph.formats == {}


def test_the_axis_of_the_steps_follows_a_transposition() -> None:
    dequantize = node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"])
    views = [node("Cast", ["w"], ["v"], to=1), node("Transpose", ["v"], ["t"])]
    graph = graph_of(dequantize, *views, node("Gemm", ["x", "t"], ["y"], transB=1))
    found = graph.constant_codes("t")
    assert found is not None
    assert found.axis == 0
    np.testing.assert_array_equal(found.codes, CONSTANTS["codes"].T)
    kept = graph_of(dequantize, node("Transpose", ["w"], ["t"], perm=[0, 1])).constant_codes("t")
    assert kept is not None
    assert kept.axis == 1


def test_a_constant_needs_no_zero_point_but_a_constant_step() -> None:
    dequantize = node("DequantizeLinear", ["codes", "scale"], ["w"])
    found = graph_of(dequantize, node("MatMul", ["x", "w"], ["y"])).constant_codes("w")
    assert found is not None
    assert (found.steps.tolist(), found.zero_point.any(), found.axis) == ([0.25], False, None)
    nodes = [node("Neg", ["scale"], ["s"]), node("DequantizeLinear", ["codes", "s"], ["w"])]
    assert graph_of(*nodes, node("MatMul", ["x", "w"], ["y"])).constant_codes("w") is None


def test_other_nodes_hide_the_codes() -> None:
    dequantize = node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"], axis=1)
    graph = graph_of(dequantize, node("Neg", ["w"], ["v"]), node("MatMul", ["x", "v"], ["y"]))
    assert graph.constant_codes("v") is None


def test_a_float_constant_has_a_value_also_where_it_is_cast() -> None:
    graph = graph_of(node("Cast", ["steps"], ["s"], to=1), node("Mul", ["x", "s"], ["y"]))
    value = graph.value("s")
    assert value is not None
    assert value.tolist() == [0.5, 2]
    assert graph.value("x") is None
    assert graph.value("y") is None


def test_the_size_of_an_open_axis_is_0() -> None:
    model: ModelProto = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 3]}, {"y": None}, {})
    graph = QdqGraph(model)
    assert graph.dims("y") == (0, 3)
    assert graph.dims("unknown") == ()
