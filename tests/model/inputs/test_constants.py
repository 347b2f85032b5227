"""The numbers of a graph and of the graphs inside it."""

import numpy as np
from graphs import body, model_of, node
from onnx import numpy_helper

from onnx_evoq.model.inputs.constants import Constants


def test_values_and_shapes_of_initializers_and_constant_nodes() -> None:
    inner = numpy_helper.from_array(np.float32([2, 3]), "inner")
    nodes = [node("Constant", [], ["c"], value=inner), node("Add", ["x", "c"], ["y"])]
    graph = model_of(nodes, {"x": [2]}, {"y": [2]}, {"w": np.ones((2, 3), np.float32)}).graph
    constants = Constants(graph)
    assert (constants.shape("w"), constants.shape("x")) == ((2, 3), None)
    assert constants.values("c").tolist() == [2, 3]  # type: ignore[union-attr]
    assert constants.among(nodes[1])
    assert "x" not in constants


def test_what_is_computed_from_constants_is_constant() -> None:
    nodes = [node("Neg", ["w"], ["n"]), node("MatMul", ["x", "n"], ["y"])]
    constants = Constants(model_of(nodes, {"x": [2]}, {"y": None}, {"w": np.ones((2, 2))}).graph)
    assert "n" in constants
    assert "y" not in constants
    assert (constants.shape("n"), constants.values("n")) == (None, None)


def test_constants_inside_bodies_are_known() -> None:
    five = numpy_helper.from_array(np.float32(5), "five")
    branch = body("b", [node("Constant", [], ["inside"], value=five)], "inside")
    nodes = [node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    graph = model_of(nodes, {"c": []}, {"y": None}, {}, dtypes={"c": "bool"}).graph
    assert Constants(graph).number("inside") == 5


def test_a_number_is_a_tensor_of_equal_values() -> None:
    weights = {"one": np.float32(4), "same": np.full(3, 7, np.int64), "mixed": np.int64([1, 2])}
    graph = model_of([node("Identity", ["one"], ["y"])], {}, {"y": None}, weights).graph
    constants = Constants(graph)
    assert [constants.number(name) for name in ("one", "same", "mixed", "x")] == [4, 7, None, None]


def test_large_tensors_are_no_numbers() -> None:
    weights = {"w": np.zeros((400, 400), np.float32)}
    graph = model_of([node("Identity", ["w"], ["y"])], {}, {"y": None}, weights).graph
    assert Constants(graph).values("w") is None
