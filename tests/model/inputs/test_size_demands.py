"""What constants demand of the sizes of tensors."""

from collections.abc import Mapping

import numpy as np
import pytest
from graphs import model_of, node, random
from numpy.typing import NDArray
from onnx import NodeProto

from onnx_evoq.model import SizeDemands


def demanded(
    nodes: list[NodeProto],
    weights: Mapping[str, NDArray[np.generic]],
    *shape: int | None,
) -> list[tuple[str, int, int, int]]:
    """The output of the node, the axis, the size and the demanded size, for a tensor x."""
    model = model_of(nodes, {"x": ["n", "t", "k"]}, {"y": None}, weights)
    found = SizeDemands(model).at({"x": shape})
    return [(*demand.place, demand.has, demand.wanted) for demand in found]


@pytest.mark.parametrize(("transposed", "shape"), [(0, (6, 3)), (1, (3, 6))])
def test_products_demand_columns(transposed: int, shape: tuple[int, int]) -> None:
    gemm = node("Gemm", ["x", "w"], ["y"], transB=transposed)
    assert demanded([gemm], {"w": random(*shape)}, 1, 9) == [("y", 1, 9, 6)]
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    assert demanded(nodes, {"w": random(6, 3)}, 1, 5, 9) == [("y", -1, 9, 6)]


@pytest.mark.parametrize("inputs", [["x", "table"], ["table", "x"]])
def test_sums_demand_the_size_of_each_axis_that_is_not_1(inputs: list[str]) -> None:
    found = demanded([node("Add", inputs, ["y"])], {"table": random(1, 16, 8)}, 1, 32, 8)
    assert found == [("y", -1, 8, 8), ("y", -2, 32, 16)]


def test_a_constant_that_is_computed_demands_as_well() -> None:
    nodes = [node("Neg", ["w"], ["n"]), node("MatMul", ["x", "n"], ["y"])]
    model = model_of(nodes, {"x": ["n", "t"]}, {"y": None}, {"w": random(6, 3)})
    (demand,) = SizeDemands(model).at({"x": (1, 9), "n": (6, 3)})
    assert (demand.has, demand.wanted) == (9, 6)


def test_stated_sizes_demand_a_number_of_values() -> None:
    nodes = [node("Reshape", ["x", "size"], ["y"])]
    assert demanded(nodes, {"size": np.int64([-1, 4, 6])}, 1, 5, 6) == [("y", 0, 30, 24)]
    assert demanded(nodes, {"size": np.int64([0, -1, 6])}, 1, 5, 6) == []


def test_unknown_sizes_are_left_out() -> None:
    assert demanded([node("MatMul", ["x", "w"], ["y"])], {"w": random(6, 3)}, 1, None) == []
    assert SizeDemands(model_of([], {}, {}, {})).at({}) == []
