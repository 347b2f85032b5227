"""The nodes of a model whose tensors can be shown, and its constants."""

from graphs import body, model_of, node, random, two_rates
from onnx import ModelProto

from onnx_evoq.model import load
from onnx_evoq.model.inside import constants_in, shown_nodes


def with_constants_in_a_branch() -> ModelProto:
    one = body(
        "one",
        [
            node("Exp", ["k"], ["e"]),
            node("Neg", ["e"], ["n"]),
            node("RandomNormal", [], ["r"], shape=[2]),
            node("Add", ["n", "x"], ["a"]),
        ],
        "a",
    )
    other = body("other", [node("Neg", ["x"], ["b"])], "b")
    choice = node("If", ["flag"], ["y"], then_branch=one, else_branch=other)
    inputs = {"x": [2], "flag": []}
    return load(model_of([choice], inputs, {"y": None}, {"k": random(2)}, dtypes={"flag": "bool"}))


def test_the_nodes_in_bodies_follow_the_node_that_holds_them() -> None:
    found = [(n.op_type, graph) for n, graph in shown_nodes(load(two_rates()))]
    assert sorted(found[3:5]) == [("MatMul", 1), ("MatMul", 2)]
    assert [each for each in found if each not in found[3:5]] == [
        ("Relu", 0), ("Equal", 0), ("If", 0), ("MatMul", 0)
    ]  # fmt: skip


def test_a_body_has_constants_of_its_own() -> None:
    assert constants_in(with_constants_in_a_branch()) == {"k", "e", "n"}


def test_initializers_of_bodies_are_constants() -> None:
    model = with_constants_in_a_branch()
    branch = next(a.g for a in model.graph.node[0].attribute if a.name == "then_branch")
    branch.initializer.add(name="i", data_type=7, int64_data=[1])
    assert constants_in(model) == {"k", "e", "n", "i"}
