"""Constants in bodies, and branches whose condition is a constant."""

import numpy as np
import onnx
import pytest
from graphs import model_of, node, random, run
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.array_types import Array
from onnx_evoq.model import find_layers, find_weights, fold_constants, load


def body_of(
    *nodes: NodeProto, name: str = "body", output: str = "o", **tensors: Array
) -> GraphProto:
    held = [numpy_helper.from_array(array, key) for key, array in tensors.items()]
    result = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    return helper.make_graph(list(nodes), name, [], result, held)


def chosen(
    *before: NodeProto, then: GraphProto, other: GraphProto, **weights: Array
) -> onnx.ModelProto:
    """x (n, 4), flag -> nodes, an If by "c" -> y (n, 3)."""
    nodes = [*before, node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    inputs = {"x": ["n", 4], "flag": []}
    return model_of(nodes, inputs, {"y": ["n", 3]}, weights, dtypes={"flag": "bool"})


def multiplying(name: str, seed: int) -> GraphProto:
    nodes = [node("Transpose", ["w"], ["k"]), node("MatMul", ["x", "k"], ["o"])]
    return body_of(*nodes, name=name, w=random(3, 4, seed=seed))


def same_outputs(model: onnx.ModelProto, folded: onnx.ModelProto) -> None:
    onnx.checker.check_model(folded)
    for flag in (True, False):
        feed = {"x": random(5, 4, seed=9), "flag": np.array(flag)}
        before, after = (run(each, feed)["y"] for each in (model, folded))
        assert np.allclose(before, after, rtol=1e-6, atol=1e-6)


def operators(model: onnx.ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node]


@pytest.mark.parametrize("value", [True, False])
def test_the_branch_of_a_constant_condition_takes_the_place_of_the_if(value: bool) -> None:
    model = load(chosen(then=multiplying("a", 1), other=multiplying("b", 2), c=np.array(value)))
    folded = fold_constants(model).model
    assert operators(folded) == ["MatMul"]
    weights, skipped = find_weights(folded)
    assert [weight.name for weight in weights] == ["a.w" if value else "b.w"]
    assert len(find_layers(folded, weights)) == 1
    assert not skipped
    same_outputs(model, folded)


def test_a_condition_may_be_computed() -> None:
    nodes = [node("Size", ["t"], ["s"]), node("Equal", ["s", "six"], ["c"])]
    model = load(
        chosen(
            *nodes, then=multiplying("a", 1), other=multiplying("b", 2),
            t=random(2, 3), six=np.array(6),
        )
    )  # fmt: skip
    folded = fold_constants(model).model
    assert operators(folded) == ["MatMul"]
    same_outputs(model, folded)


def test_an_if_within_a_branch_is_replaced_too() -> None:
    inner = node(
        "If", ["c"], ["o"], then_branch=multiplying("a", 1), else_branch=multiplying("b", 2)
    )
    outer = body_of(inner, name="outer")
    model = load(chosen(then=outer, other=multiplying("d", 3), c=np.array(True)))
    folded = fold_constants(model).model
    assert operators(folded) == ["MatMul"]
    same_outputs(model, folded)


def test_a_branch_may_give_what_it_captures_and_what_it_holds() -> None:
    nodes = [node("MatMul", ["x", "w"], ["h"])]
    branch = body_of(node("Identity", ["h"], ["o"]))
    held = body_of(output="t", t=random(1, 3))
    for value in (True, False):
        model = load(chosen(*nodes, then=branch, other=held, c=np.array(value), w=random(4, 3)))
        folded = fold_constants(model).model
        assert "If" not in operators(folded)
        feed = {"x": random(5, 4), "flag": np.array(True)}
        assert (run(model, feed)["y"] == run(folded, feed)["y"]).all()


def test_weights_of_branches_that_both_may_run_are_folded_in_the_main_graph() -> None:
    cast = node("Identity", ["flag"], ["c"])
    model = load(chosen(cast, then=multiplying("a", 1), other=multiplying("b", 2)))
    folded = fold_constants(model).model
    weights, _ = find_weights(folded)
    assert sorted(weight.name for weight in weights) == ["a.w", "b.w"]
    assert [weight.axis for weight in weights] == [1, 1]
    assert [n.op_type for entry in folded.graph.node[1].attribute for n in entry.g.node] == [
        "MatMul", "MatMul",
    ]  # fmt: skip
    same_outputs(model, folded)


def test_branches_that_transpose_the_same_weight_share_it() -> None:
    def branch(name: str) -> GraphProto:
        nodes = [node("Transpose", ["w"], ["k"]), node("MatMul", ["x", "k"], ["o"])]
        return body_of(*nodes, name=name)

    cast = node("Identity", ["flag"], ["c"])
    model = load(chosen(cast, then=branch("a"), other=branch("b"), w=random(300, 4)))
    folded = fold_constants(model).model
    assert [tensor.name for tensor in folded.graph.initializer] == ["w"]
    assert find_weights(folded)[0][0].shape == (4, 300)


def test_a_constant_of_a_loop_is_folded() -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Shape", ["w"], ["s"]),
            node("Reshape", ["flat", "s"], ["k"]),
            node("MatMul", ["state", "k"], ["next"]),
            node("Identity", ["go"], ["still"]),
        ],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []),
         value("state", TensorProto.FLOAT, ["n", 4])],
        [value("still", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(random(16), "flat"), numpy_helper.from_array(random(4, 4), "w")],
    )  # fmt: skip
    nodes = [node("Loop", ["trips", "", "x"], ["y"], body=body)]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"trips": np.array(3)}))
    folded = fold_constants(model).model
    assert [(w.name, w.shape) for w in find_weights(folded)[0]] == [("body.flat", (4, 4))]
    assert [n.op_type for n in folded.graph.node[0].attribute[0].g.node] == ["MatMul", "Identity"]
    x = random(2, 4)
    assert (run(model, {"x": x})["y"] == run(folded, {"x": x})["y"]).all()


def test_indices_of_a_body_stay_in_it() -> None:
    nodes = [
        node("Add", ["i", "i"], ["two"]),
        node("Gather", ["x", "two"], ["g"], axis=1),
        node("MatMul", ["g", "w"], ["o"]),
    ]
    branch = body_of(*nodes, i=np.array([0, 1]), w=random(2, 3))
    cast = node("Identity", ["flag"], ["c"])
    model = load(chosen(cast, then=branch, other=multiplying("b", 2)))
    folded = fold_constants(model).model
    then = next(e.g for e in folded.graph.node[1].attribute if e.name == "then_branch")
    assert [(t.name, list(t.dims)) for t in then.initializer] == [("two", [2])]
    same_outputs(model, folded)
