"""Walks through a graph and the graphs inside it."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from graphs import model_of, node
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.graph import copy_of, nodes


def body(name: str, *inner: NodeProto, inputs: str = "", output: str = "o") -> GraphProto:
    """A graph with the initializer "t", for a node to hold."""
    values = [helper.make_empty_tensor_value_info(each) for each in inputs]
    result = [helper.make_empty_tensor_value_info(output)]
    tensor = numpy_helper.from_array(np.float32([1]), "t")
    return helper.make_graph(list(inner), name, values, result, [tensor])


INNERMOST = body("innermost", node("Neg", ["k"], ["o"], "negation"))
CHOICE = node("If", ["flag"], ["o"], "inner choice", then_branch=INNERMOST)
LOOP_BODY = body("body", node("Add", ["a", "t"], ["b"]), CHOICE, inputs="a")
LOOP = node("Loop", ["n", "", "x"], ["y"], "loop", body=LOOP_BODY)


def nested() -> ModelProto:
    """x -> Loop of an Add and an If -> y."""
    return model_of([LOOP], {"x": ["n"]}, {"y": ["n"]}, {"w": np.float32([1, 2])})


def test_bodies_are_the_graphs_among_the_attributes() -> None:
    several = node("Own", [], ["y"], size=3)
    several.attribute.append(helper.make_attribute("graphs", [INNERMOST, LOOP_BODY]))
    assert [graph.name for graph in nodes.bodies(several)] == ["innermost", "body"]
    assert [graph.name for graph in nodes.bodies(LOOP)] == ["body"]
    assert list(nodes.bodies(node("Relu", ["x"], ["y"]))) == []


def test_a_walk_goes_from_outer_graphs_to_inner_ones() -> None:
    assert [graph.name for graph in nodes.walk(nested().graph)] == ["test", "body", "innermost"]
    operators = [each.op_type for each in nodes.all_nodes(nested().graph)]
    assert operators == ["Loop", "Add", "If", "Neg"]


def test_tensors_of_initializers_and_nodes_are_listed() -> None:
    model = nested()
    value = numpy_helper.from_array(np.float32(3), "value")
    model.graph.node.add().CopyFrom(node("Constant", [], ["c"], value=value))
    names = [tensor.name for tensor in nodes.tensors_in(model.graph)]
    assert names == ["w", "t", "t", "value"]


def test_a_body_captures_what_it_does_not_own() -> None:
    assert nodes.captured(INNERMOST) == {"k"}
    assert nodes.captured(LOOP_BODY) == {"flag", "k"}
    assert nodes.captured(body("empty", output="z")) == {"z"}


def test_a_node_reads_its_inputs_and_the_captured_names() -> None:
    assert nodes.reads(LOOP) == {"n", "x", "flag", "k"}


def test_each_input_body_and_output_counts_as_a_reader() -> None:
    model = model_of([LOOP, node("Mul", ["y", "y"], ["k"])], {"x": ["n"]}, {"y": None}, {})
    counts = nodes.reader_counts(model.graph)
    assert (counts["x"], counts["k"], counts["y"], counts["nowhere"]) == (1, 1, 3, 0)


def test_a_constant_depends_on_no_input() -> None:
    graph = model_of(
        [
            node("Neg", ["w"], ["c"]),
            node("Add", ["c", "x"], ["a"]),
            node("Split", ["c"], ["d", ""]),
            node("Mul", ["a", "d"], ["y"]),
            node("RandomNormal", [], ["r"], shape=[1]),
            node("Multinomial", ["c"], ["m"]),
            node("Neg", ["r"], ["s"]),
        ],
        {"x": ["n"]}, {"y": None}, {"w": np.float32([1, 2])},
    ).graph  # fmt: skip
    assert nodes.constants_of(graph) == {"c", "d"}


def test_constant_tensors_are_initializers_and_values_of_constant_nodes() -> None:
    value = numpy_helper.from_array(np.float32([5]))
    graph = model_of(
        [
            node("Constant", [], ["a"], value=value),
            node("Constant", [], ["b"], value_float=2.5),
            node("Constant", [], ["c"], value_int=3),
            node("Constant", [], ["d"], value=value, domain="com.example"),
            node("Neg", ["x"], ["y"]),
        ],
        {"x": ["n"]}, {"y": None}, {"w": np.float32([1, 2])},
    ).graph  # fmt: skip
    tensors = nodes.constant_tensors(graph)
    values = {name: numpy_helper.to_array(tensor).tolist() for name, tensor in tensors.items()}
    assert values == {"w": [1, 2], "a": [5], "b": 2.5, "c": 3}


def test_names_of_tensors_and_nodes_are_in_use() -> None:
    model = nested()
    model.graph.value_info.add().name = "stated"
    used = nodes.names_in_use(model.graph)
    assert {"x", "y", "w", "t", "a", "b", "k", "o", "loop", "negation", "stated"} <= used
    assert "innermost" not in used


def test_an_unused_name_gets_a_number_if_it_is_used() -> None:
    used = {"w", "w_1"}
    assert [nodes.unused_name(name, used) for name in ("v", "w", "w", "v")] == [
        "v", "w_2", "w_3", "v_1",
    ]  # fmt: skip
    assert used == {"v", "v_1", "w", "w_1", "w_2", "w_3"}


def test_an_attribute_has_a_default() -> None:
    gemm = node("Gemm", ["x", "w"], ["y"], alpha=0.5, transB=1)
    assert nodes.attribute(gemm, "alpha", 1) == 0.5
    assert nodes.attribute(gemm, "transB", 0) == 1
    assert nodes.attribute(gemm, "beta", 7) == 7


def test_the_operator_set_of_onnx_has_two_names() -> None:
    model = onnx.ModelProto()
    assert nodes.opset_of(model) == 0
    model.opset_import.add(domain="com.example", version=3)
    model.opset_import.add(domain="ai.onnx", version=17)
    assert nodes.opset_of(model) == 17
    assert nodes.is_standard(node("Relu", [], []))
    assert nodes.is_standard(node("Relu", [], [], domain="ai.onnx"))
    assert not nodes.is_standard(node("Relu", [], [], domain="ai.onnx.ml"))


def test_the_label_of_a_node_is_its_name_or_its_first_output() -> None:
    assert nodes.node_label(node("Relu", ["x"], ["y"], "act")) == "act"
    assert nodes.node_label(node("Split", ["x"], ["y", "z"])) == "Split(y)"
    assert nodes.node_label(node("Own", [], [])) == "Own()"


def test_shapes_that_a_tool_added_are_dropped() -> None:
    original = onnx.ModelProto()
    original.graph.value_info.add().name = "stated"
    changed = copy_of(original)
    changed.graph.value_info.add().name = "added"
    nodes.drop_added_shapes(changed, original)
    assert [value.name for value in changed.graph.value_info] == ["stated"]


@pytest.mark.parametrize(
    ("op_type", "domain", "quantized"),
    [
        ("DequantizeLinear", "", True), ("QLinearAdd", "com.microsoft", True),
        ("MatMulNBits", "com.microsoft", True), ("QGemm", "com.example", False),
        ("MatMul", "", False), ("FusedMatMul", "com.microsoft", False),
    ],
)  # fmt: skip
def test_operators_on_codes_are_known(op_type: str, domain: str, quantized: bool) -> None:
    each = node(op_type, ["x"], ["y"], domain=domain)
    assert nodes.is_quantized(each) is quantized
    model = model_of([each, each], {"x": None}, {"y": None}, {})
    assert nodes.quantized_operators(model) == [op_type] * quantized


def test_texts_that_are_not_utf8_are_bytes() -> None:
    model = model_of([node("Relu", ["x"], ["y"], name="odd")], {"x": ["n"]}, {"y": ["n"]}, {})
    assert "odd" in set(nodes.texts_in(model))
    content = model.SerializeToString().replace(b"odd", b"o\xffd")
    damaged = ModelProto.FromString(content)
    assert b"o\xffd" in set(nodes.texts_in(damaged))


@pytest.mark.parametrize(
    ("dtype", "half"), [("float32", False), ("float16", True), (ml_dtypes.bfloat16, True)]
)
def test_a_model_of_half_precision_is_known(dtype: str, half: bool) -> None:
    value = numpy_helper.from_array(np.ones(2).astype(dtype), "ignored")
    model = model_of([node("Constant", [], ["y"], value=value)], {}, {"y": None}, {})
    assert nodes.holds_half(model) is half


@pytest.mark.parametrize("value", [[1, 2], "text"])
def test_an_attribute_that_is_no_number_is_named(value: object) -> None:
    odd = node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft", alpha=value)
    with pytest.raises(ModelError, match=r"FusedMatMul\(y\): its attribute 'alpha' is no number"):
        nodes.attribute(odd, "alpha", 1)
