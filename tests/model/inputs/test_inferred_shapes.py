"""Shapes of tensors for given shapes of the inputs."""

import numpy as np
from graphs import conv_net, model_of, node, random, two_rates
from onnx import helper

from onnx_evoq.model import ShapeInference, load


def test_shapes_follow_from_those_of_the_inputs() -> None:
    nodes = [
        node("Shape", ["x"], ["size"]),
        node("Slice", ["size", "zero", "one"], ["rows"]),
        node("Concat", ["rows", "six"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("MatMul", ["flat", "w"], ["y"]),
    ]
    weights = {
        "zero": np.int64([0]), "one": np.int64([1]), "six": np.int64([6]), "w": random(6, 4000),
    }  # fmt: skip
    inference = ShapeInference(load(model_of(nodes, {"x": ["n", 2, 3]}, {"y": None}, weights)))
    for rows in (1, 5):
        assert inference.shapes({"x": (rows, 2, 3)})["y"] == (rows, 4000)


def test_sizes_that_a_node_does_not_take_are_contradicted() -> None:
    nodes = [node("Add", ["a", "b"], ["y"])]
    model = model_of(nodes, {"a": ["n", "k"], "b": ["n", "m"]}, {"y": None}, {})
    inference = ShapeInference(model)
    assert inference.contradicted({"a": (1, 3), "b": (1, 4)})
    assert not inference.contradicted({"a": (1, 4), "b": (1, 4)})


def test_an_operator_without_a_schema_contradicts_nothing() -> None:
    model = conv_net()
    model.graph.node[0].domain = "own"
    model.opset_import.append(helper.make_opsetid("own", 1))
    inference = ShapeInference(model)
    assert not inference.contradicted({"x": (1, 3, 8, 8)})


def test_what_a_branch_takes_contradicts_nothing() -> None:
    inference = ShapeInference(load(two_rates()))
    for length in (8, 16):
        assert not inference.contradicted({"x": (1, length), "rate": ()})
