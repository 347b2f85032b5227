"""Layers that share a weight."""

from dataclasses import replace
from typing import Any

import numpy as np
from graphs import model_of, node, random

from onnx_evoq.model import Layer, find_layers, find_weights, load


def layer_of(nodes: list[Any], weight: np.ndarray, **inputs: list[Any]) -> Layer:
    """The layer of "w"."""
    model = load(model_of(nodes, inputs or {"x": ["n", 4]}, {"y": None}, {"w": weight}))
    return find_layers(model, find_weights(model)[0])["w"]


def inputs(layer: Layer) -> list[str]:
    return [use.input for use in layer.uses]


def test_layers_behind_views_are_tied_if_the_matrix_is_the_same() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Transpose", ["w"], ["t"]),
        node("Gemm", ["a", "t"], ["b"], transB=1),
        node("MatMul", ["b", "w"], ["y"]),
    ]
    assert inputs(layer_of(nodes, random(4, 4))) == ["x", "a", "b"]


def test_of_other_matrices_that_of_most_layers_counts() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Gemm", ["a", "w"], ["b"], transB=1),
        node("MatMul", ["b", "w"], ["y"]),
    ]
    assert inputs(layer_of(nodes, random(4, 4))) == ["x", "b"]


def test_of_as_many_the_last_one_counts() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Gemm", ["a", "w"], ["y"], transB=1)]
    weight = random(4, 3)
    layer = layer_of(nodes, weight)
    assert inputs(layer) == ["a"]
    np.testing.assert_array_equal(layer.linear.matrix(weight)[0], weight)


def test_convolutions_are_tied_whatever_their_strides() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2], pads=[1, 1]),
        node("Conv", ["x", "w"], ["b"], dilations=[2]),
        node("Conv", ["b", "w"], ["c"]),
        node("Sum", ["a", "c"], ["y"]),
    ]
    assert inputs(layer_of(nodes, random(4, 4, 3), x=["n", 4, 9])) == ["x", "x", "b"]


def residual(name: str, x: str) -> list[Any]:
    return [
        node("MatMul", [x, "w"], [f"{name}_m"]),
        node("Add", [f"{name}_m", x], [f"{name}_s"]),
        node("Relu", [f"{name}_s"], [name]),
    ]


def test_a_sum_whose_other_term_depends_on_the_weight_is_no_target() -> None:
    layer = layer_of([*residual("a", "x"), *residual("y", "a")], random(4, 4))
    assert [(use.sum, use.other) for use in layer.uses] == [("a_s", "x"), (None, None)]
    assert [use.activation is None for use in layer.uses] == [False, True]


def test_side_by_side_all_sums_are_targets() -> None:
    nodes = [*residual("a", "x"), *residual("b", "z"), node("Sub", ["a", "b"], ["y"])]
    layer = layer_of(nodes, random(4, 4), x=["n", 4], z=["n", 4])
    assert [use.sum for use in layer.uses] == ["a_s", "b_s"]


def test_rows_must_lie_in_one_channel_of_the_weight() -> None:
    others = [node("Gemm", ["k", "w"], [f"c{n}"], transB=1) for n in range(2)]  # of constants
    nodes = [*others, node("MatMul", ["x", "w"], ["a"]), node("Sum", ["a", "c0", "c1"], ["y"])]
    weights = {"w": random(4, 4), "k": random(1, 4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": None}, weights))
    found = [weight for weight in find_weights(model)[0] if weight.name == "w"]
    assert found[0].axis == 0
    assert find_layers(model, found) == {}
    assert list(find_layers(model, [replace(found[0], axis=None)])) == ["w"]
