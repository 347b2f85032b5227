"""Constants that may be weights become initializers of the main graph."""

import numpy as np
import onnx
from graphs import model_of, node, random
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_evoq.model import find_weights, load


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
