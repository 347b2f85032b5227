"""Names of tensors in bodies."""

import onnx
from graphs import model_of, node, random
from onnx import GraphProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_evoq.model.files.unique_names import unique_names


def body_of(*nodes: onnx.NodeProto, output: str = "o", **tensors: object) -> GraphProto:
    held = [numpy_helper.from_array(array, name) for name, array in tensors.items()]  # type: ignore[arg-type]
    result = [helper.make_empty_tensor_value_info(output)]
    return helper.make_graph(list(nodes), "body", [], result, held)


def choosing(then: GraphProto, other: GraphProto) -> onnx.ModelProto:
    """x (n, 3) and a flag -> Abs "a" -> If, whose branches are these -> y."""
    nodes = [
        node("Abs", ["x"], ["a"]),
        node("If", ["flag"], ["y"], then_branch=then, else_branch=other),
    ]
    inputs = {"x": ["n", 3], "flag": []}
    return model_of(nodes, inputs, {"y": None}, {}, dtypes={"flag": "bool"})


def names(graph: GraphProto) -> list[str]:
    return [name for each in graph.node for name in each.output]


def branches(model: onnx.ModelProto) -> dict[str, GraphProto]:
    return {entry.name: entry.g for entry in model.graph.node[1].attribute}


def test_the_second_branch_gets_other_names_and_computes_the_same() -> None:
    then = body_of(node("Add", ["a", "t"], ["s"]), node("Neg", ["s"], ["o"]), t=random(3))
    other = body_of(node("Sub", ["a", "t"], ["s"]), node("Neg", ["s"], ["o"]), t=random(3, seed=1))
    model, changed = choosing(then, other), choosing(then, other)
    unique_names(changed.graph)
    found = [names(branches(changed)[name]) for name in ("then_branch", "else_branch")]
    assert sorted(found) == [["s", "o"], ["s_1", "o_1"]]
    feed = {"x": random(2, 3, seed=2)}
    for flag in (True, False):
        given = {**feed, "flag": onnx.numpy_helper.to_array(helper.make_tensor("", 9, [], [flag]))}
        before, after = (ReferenceEvaluator(m).run(None, given)[0] for m in (model, changed))
        assert (before == after).all()


def test_what_a_body_within_a_body_captures_is_renamed_with_it() -> None:
    inner = [body_of(node("Neg", ["s"], [f"i{k}"]), output=f"i{k}") for k in (1, 2)]
    choice = node("If", ["flag"], ["o"], then_branch=inner[0], else_branch=inner[1])
    other = body_of(node("Abs", ["a"], ["s"]), choice)
    model = choosing(body_of(node("Neg", ["a"], ["s"]), node("Neg", ["s"], ["o"])), other)
    unique_names(model.graph)
    for branch in branches(model).values():
        for each in branch.node:
            if each.op_type == "If":
                read = {entry.g.node[0].input[0] for entry in each.attribute}
                assert read == {branch.node[0].output[0]}
                made = {entry.g.node[0].output[0] for entry in each.attribute}
                assert made == {"i1", "i2"}


def test_unique_names_stay() -> None:
    model = choosing(
        body_of(node("Neg", ["a"], ["o"])), body_of(node("Neg", ["a"], ["p"]), output="p")
    )
    before = model.SerializeToString()
    unique_names(model.graph)
    assert model.SerializeToString() == before
