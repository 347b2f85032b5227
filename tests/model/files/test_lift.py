"""Constants that may be weights become initializers of the main graph."""

import numpy as np
import onnx
from graphs import model_of, node, random
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_evoq.model import find_weights, load
from onnx_evoq.model.files.lift import lift_constants
from onnx_evoq.model.graph import walk


def branch(name: str, weight: np.ndarray) -> onnx.GraphProto:
    """A branch of an If that multiplies the outer x by a weight of its own."""
    tensor = numpy_helper.from_array(weight, "w")
    return helper.make_graph(
        [node("MatMul", ["x", "w"], [f"{name}_y"])],
        name,
        [],
        [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["n", 3])],
        [tensor],
    )


def if_model() -> onnx.ModelProto:
    nodes = [
        node(
            "If",
            ["flag"],
            ["y"],
            then_branch=branch("then", random(4, 3, seed=1)),
            else_branch=branch("else", random(4, 3, seed=2)),
        )
    ]
    inputs = {"x": ["n", 4], "flag": []}
    return model_of(nodes, inputs, {"y": ["n", 3]}, {}, dtypes={"flag": "bool"})


def test_a_constant_node_becomes_an_initializer_of_its_name() -> None:
    value = numpy_helper.from_array(random(4, 3), "ignored")
    nodes = [node("Constant", [], ["w"], value=value), node("MatMul", ["x", "w"], ["y"])]
    loaded = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {}))
    assert [tensor.name for tensor in loaded.graph.initializer] == ["w"]
    assert [weight.name for weight in find_weights(loaded)[0]] == ["w"]


def test_scalar_and_integer_constants_stay_nodes() -> None:
    nodes = [
        node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2))),
        node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([-1, 2]))),
        node("Mul", ["x", "two"], ["a"]),
        node("Reshape", ["a", "shape"], ["y"]),
    ]
    loaded = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["m", 2]}, {}))
    assert [n.op_type for n in loaded.graph.node] == ["Constant", "Constant", "Mul", "Reshape"]


def test_weights_of_branches_move_to_the_main_graph_under_new_names() -> None:
    weights, _ = find_weights(load(if_model()))
    values = {weight.name: weight.values for weight in weights}
    assert sorted(values) == ["else.w", "then.w"]
    assert (values["else.w"] == random(4, 3, seed=2)).all()


def test_moving_weights_changes_no_answer() -> None:
    model, x = if_model(), random(2, 4)
    for flag in (True, False):
        feed = {"x": x, "flag": np.array(flag)}
        before, after = (ReferenceEvaluator(m).run(None, feed)[0] for m in (model, load(model)))
        assert (before == after).all()


def test_a_weight_of_a_loop_body_moves_too() -> None:
    body = helper.make_graph(
        [
            node("MatMul", ["state", "w"], ["next"]),
            node("Identity", ["go"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["n", 4]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["n", 4]),
        ],
        [numpy_helper.from_array(random(4, 4), "w")],
    )
    nodes = [node("Loop", ["trips", "", "x"], ["y"], body=body)]
    model = model_of(
        nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"trips": np.array(3)}, dtype="float32"
    )
    loaded = load(model)
    assert [weight.name for weight in find_weights(loaded)[0]] == ["body.w"]
    x = random(2, 4, seed=9)
    before, after = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (model, loaded))
    assert (before == after).all()


def with_branch(body: onnx.GraphProto, **weights: np.ndarray) -> onnx.ModelProto:
    """x, flag -> an If whose branches are both `body` -> y, as a graph that is lifted."""
    nodes = [
        node("If", ["flag"], ["y"], then_branch=body, else_branch=branch("else", random(4, 3)))
    ]
    inputs = {"x": ["n", 4], "flag": []}
    model = model_of(nodes, inputs, {"y": None}, weights, dtypes={"flag": "bool"})
    lift_constants(model.graph)
    return model


def then_branch_of(choice: onnx.NodeProto) -> onnx.GraphProto:
    return next(entry.g for entry in choice.attribute if entry.name == "then_branch")


def names(tensors: object) -> list[str]:
    return [tensor.name for tensor in tensors]  # type: ignore[attr-defined]


def body_of(
    *nodes: onnx.NodeProto, inputs: str = "", output: str = "o", **tensors: np.ndarray
) -> onnx.GraphProto:
    values = [helper.make_empty_tensor_value_info(name) for name in inputs]
    result = [helper.make_empty_tensor_value_info(output)]
    held = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    return helper.make_graph(list(nodes), "body", values, result, held)


def test_only_float_tensors_with_an_axis_move() -> None:
    body = body_of(
        node("MatMul", ["x", "w"], ["o"]), w=random(4, 3), s=np.float32(2), i=np.array([1]),
        h=np.float16([1]), d=np.array([1.0]),
    )  # fmt: skip
    model = with_branch(body)
    assert names(model.graph.initializer) == ["else.w", "body.w", "body.h"]
    then = then_branch_of(model.graph.node[0])
    assert names(then.initializer) == ["s", "i", "d"]
    assert list(then.node[0].input) == ["x", "body.w"]


def test_an_output_and_a_default_of_an_input_stay_in_their_body() -> None:
    body = body_of(node("Neg", ["a"], ["b"]), inputs="a", a=random(3), o=random(3), w=random(3))
    model = with_branch(body)
    assert names(model.graph.initializer) == ["else.w", "body.w"]
    assert names(then_branch_of(model.graph.node[0]).initializer) == ["a", "o"]


def test_a_name_that_is_taken_gets_a_number() -> None:
    model = with_branch(
        body_of(node("Neg", ["w"], ["o"]), w=random(3)), **{"body.w": random(2), "w": random(2)}
    )
    assert names(model.graph.initializer) == ["body.w", "w", "else.w", "body.w_1"]


def test_an_inner_body_reads_the_moved_tensor_unless_it_owns_the_name() -> None:
    reading = body_of(node("Neg", ["w"], ["o"]))
    by_input = body_of(node("Neg", ["w"], ["o"]), inputs="w")
    by_tensor = body_of(node("Neg", ["w"], ["o"]), w=np.float32(1))
    nodes = [
        node("If", ["flag"], ["p"], then_branch=each, else_branch=reading)
        for each in (by_input, by_tensor)
    ]
    model = with_branch(body_of(*nodes, node("Add", ["w", "w"], ["o"]), w=random(3)))
    then = then_branch_of(model.graph.node[0])
    read = [[a.g.node[0].input[0] for a in inner.attribute] for inner in then.node[:2]]
    # else_branch, then_branch
    assert read == [["body.w", "w"], ["body.w", "w_1"]]
    assert list(then.node[2].input) == ["body.w", "body.w"]


def test_constants_within_a_body_move_too() -> None:
    value = numpy_helper.from_array(random(4, 3), "value")
    model = with_branch(
        body_of(node("Constant", [], ["c"], value=value), node("MatMul", ["x", "c"], ["o"]))
    )
    assert names(model.graph.initializer) == ["else.w", "body.c"]
    assert [n.op_type for n in then_branch_of(model.graph.node[0]).node] == ["MatMul"]


def test_a_constant_of_another_domain_stays() -> None:
    value = numpy_helper.from_array(random(4, 3), "value")
    nodes = [node("Constant", [], ["c"], value=value, domain="com.example")]
    model = model_of([*nodes, node("MatMul", ["x", "c"], ["y"])], {"x": None}, {"y": None}, {})
    lift_constants(model.graph)
    assert len(model.graph.node) == 2


def test_a_tensor_of_a_body_within_a_body_moves_too() -> None:
    inner = body_of(node("Neg", ["v"], ["o"]), v=random(2))
    inner.name = "inner"
    outer = body_of(node("If", ["flag"], ["o"], then_branch=inner, else_branch=inner))
    model = with_branch(outer)
    assert names(model.graph.initializer) == ["else.w", "inner.v", "inner.v_1"]
    innermost = then_branch_of(then_branch_of(model.graph.node[0]).node[0])
    assert list(innermost.node[0].input) == ["inner.v_1"]
    assert not innermost.initializer


def test_each_name_in_a_body_stands_for_one_tensor() -> None:
    def nodes() -> list[onnx.NodeProto]:
        return [node("Neg", ["x"], ["h"]), node("Neg", ["h"], ["o"])]

    inner = node(
        "If", ["flag"], ["i"], then_branch=body_of(*nodes()), else_branch=body_of(*nodes())
    )
    model = with_branch(body_of(*nodes()[:1], inner, node("Add", ["h", "i"], ["o"])))
    own = [name for graph in walk(model.graph) for n in graph.node for name in n.output]
    assert len(own) == len(set(own))
    then = then_branch_of(model.graph.node[0])
    assert list(then.node[0].output) == [then.node[2].input[0]] == ["h"]
    deep = then_branch_of(then.node[1])
    assert (deep.node[0].input[0], deep.output[0].name) == ("x", deep.node[1].output[0])
    assert deep.node[0].output[0] == deep.node[1].input[0] != "h"


def test_names_that_two_branches_share_change_no_answer() -> None:
    model = if_model()
    for attribute in model.graph.node[0].attribute:
        attribute.g.node[0].output[0] = attribute.g.output[0].name = "same"
    loaded, x = load(model), random(2, 4)
    for flag in (True, False):
        feed = {"x": x, "flag": np.array(flag)}
        before, after = (ReferenceEvaluator(m).run(None, feed)[0] for m in (model, loaded))
        assert (before == after).all()
