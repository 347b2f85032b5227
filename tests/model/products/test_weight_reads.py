"""Which weight a node multiplies, directly or behind views of it."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random

from onnx_evoq.model import load
from onnx_evoq.model.products.weight_reads import Read, WeightReads
from onnx_evoq.quantize import Dense, View, Viewed, Window

DENSE = Dense("...k,kn->...n")


def read(nodes: list[Any], weights: dict[str, np.ndarray], x: list[Any], index: int = 1) -> Any:
    """What the last node reads."""
    model = load(model_of(nodes, {"x": x}, {"y": None}, weights))
    return WeightReads(model).of(model.graph.node[-1], index)


def test_a_weight_is_read_directly_or_behind_views() -> None:
    last = node("MatMul", ["x", "v"], ["y"])
    weight = {"w": random(3, 4)}
    direct = read([node("MatMul", ["x", "w"], ["y"])], weight, ["n", 3])
    behind = read([node("Transpose", ["w"], ["v"]), last], weight, ["n", 4])
    assert direct == Read("w", (3, 4), DENSE)
    assert behind == Read("w", (3, 4), Viewed(DENSE, (View((1, 0), (4, 3)),)))
    assert read([node("MatMul", ["x", "w"], ["y"])], weight, ["n", 3], index=0) is None


def test_behind_a_shape_that_is_computed_it_has_no_closed_form() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Reshape", ["w", "s"], ["v"]),
        node("MatMul", ["x", "v"], ["y"]),
    ]
    assert read(nodes, {"w": random(4, 4)}, [4, 4]) == Read("w", (4, 4), None)


@pytest.mark.parametrize(
    ("nodes", "weight", "x", "expected"),
    [
        ([node("Conv", ["x", "w"], ["y"])], (6, 4, 3), ["n", 4, 9], (6,)),
        (
            [node("Transpose", ["w"], ["v"]), node("Conv", ["x", "v"], ["y"])],
            (3, 4, 6), ["n", 4, 9], (6,),
        ),
        ([node("MatMul", ["x", "w"], ["y"])], (2, 4, 3), ["n", 2, 5, 4], (2, 1, 3)),
        ([node("Neg", ["x"], ["z"]), node("Sub", ["z", "w"], ["y"])], (4,), ["n", 4], None),
    ],
)  # fmt: skip
def test_the_shape_of_a_bias_that_a_node_takes(
    nodes: list[Any], weight: tuple[int, ...], x: list[Any], expected: tuple[int, ...] | None
) -> None:
    found = read(nodes, {"w": random(*weight)}, x)
    assert found.bias_shape == expected
    assert found.channels_only == (nodes[-1].op_type == "Conv")
    if expected == (6,):
        linear = found.linear.linear if isinstance(found.linear, Viewed) else found.linear
        assert isinstance(linear, Window)
