"""What models do with the values of their inputs."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import body, model_of, node, random
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from onnx_evoq.model import InputUses, RowIndex, input_uses


def uses(
    nodes: Sequence[NodeProto],
    weights: dict[str, NDArray[np.generic]] | None = None,
    dtype: str = "int64",
    **inputs: Sequence[int | str | None],
) -> InputUses:
    """What a model does with its input "i"."""
    given = {"i": ["n", 7], **inputs}
    model = model_of(nodes, given, {"y": None}, weights or {}, dtypes={"i": dtype})
    return input_uses(model)["i"]


TABLE = {"table": random(20, 8)}
SCORES = [node("Add", ["s", "m"], ["sum"]), node("Softmax", ["sum"], ["y"])]


def test_indices_know_the_tables_whose_rows_they_name() -> None:
    found = uses([node("Gather", ["table", "i"], ["y"])], TABLE)
    assert found == InputUses(rows=(RowIndex("table", 0, True, "i"),))


def test_indices_of_computed_tensors_are_known_too() -> None:
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("Unsqueeze", ["i", "axes"], ["wide"]),
        node("GatherElements", ["h", "wide"], ["a"], axis=1),
        node("ScatterND", ["h", "i", "a"], ["y"]),
    ]
    found = uses(nodes, {"axes": np.int64([2])}, x=["n", 7, 3])
    assert found.rows == (RowIndex("h", 1, places="wide"), RowIndex("h", None, places="i"))


def test_sums_and_products_before_an_index_bound_the_values() -> None:
    nodes = [
        node("Mul", ["i", "two"], ["double"]),
        node("Add", ["double", "offsets"], ["moved"]),
        node("Gather", ["table", "moved"], ["y"]),
    ]
    (row,) = uses(nodes, {**TABLE, "two": np.int64(2), "offsets": np.int64([0, 5])}).rows
    assert (row.scale, row.offset) == (2, 5)


def test_one_hot_codes_have_a_length() -> None:
    nodes = [node("OneHot", ["i", "depth", "values"], ["y"])]
    weights = {"depth": np.int64([9]), "values": np.float32([0, 1])}
    assert uses(nodes, weights).classes == 9


def test_constants_that_are_compared_with_are_known() -> None:
    nodes = [
        node("Add", ["i", "one"], ["next"]),
        node("Equal", ["next", "rate"], ["same"]),
        node("Cast", ["same"], ["y"], to=TensorProto.FLOAT),
    ]
    found = uses(nodes, {"one": np.int64(1), "rate": np.int64([8001, 16001])})
    assert found.compared == (8000, 16000)


@pytest.mark.parametrize(
    ("nodes", "dtype", "passing"),
    [
        # What is added to scores blocks where it is very negative.
        (
            [
                node("Cast", ["i"], ["c"], to=TensorProto.FLOAT),
                node("Sub", ["one", "c"], ["d"]),
                node("Mul", ["d", "far"], ["m"]),
                node("Add", ["s", "m"], ["y"]),
            ],
            "int64",
            1,
        ),
        ([node("Mul", ["i", "far"], ["m"]), node("Add", ["m", "s"], ["y"])], "float32", 0),
        ([node("Cast", ["i"], ["m"], to=TensorProto.FLOAT), *SCORES], "int64", 1),
        ([node("Identity", ["i"], ["m"]), *SCORES], "float32", 0),
        # What selects passes where the tensor is chosen.
        ([node("Where", ["i", "s", "far"], ["y"])], "bool", 1),
        ([node("Where", ["i", "far", "s"], ["y"])], "bool", 0),
        ([node("Not", ["i"], ["m"]), node("Where", ["m", "far", "s"], ["y"])], "bool", 1),
        (
            [node("Equal", ["i", "zero"], ["m"]), node("Where", ["m", "far", "s"], ["y"])],
            "int64",
            1,
        ),
        # A factor passes where it is not 0.
        ([node("Mul", ["i", "s"], ["y"])], "int64", 1),
    ],
)
def test_masks_know_the_value_that_lets_all_pass(
    nodes: list[NodeProto], dtype: str, passing: int
) -> None:
    weights = {"one": np.float32(1), "far": np.float32(-1e4), "zero": np.int64(0)}
    assert uses(nodes, weights, dtype, s=["n", 7]).passing == passing


def test_a_float_that_is_only_multiplied_is_no_mask() -> None:
    found = uses([node("Mul", ["i", "s"], ["y"])], None, "float32", s=["n", 7])
    assert (found.passing, found.otherwise) == (None, True)


def test_flags_choose_branches_and_are_followed_into_bodies() -> None:
    value = helper.make_tensor("v", TensorProto.INT64, [], [4])
    inside = [
        node("Constant", [], ["four"], value=value),
        node("Equal", ["i", "four"], ["is_four"]),
    ]
    branch = body("b", inside, "is_four")
    nodes = [
        node("Cast", ["i"], ["flag"], to=TensorProto.BOOL),
        node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch),
    ]
    found = uses(nodes)
    assert (found.decides, found.compared) == (True, (4, 4))


def test_lengths_of_sequences() -> None:
    lstm = node("LSTM", ["x", "w", "r", "", "i"], ["y"], hidden_size=2)
    assert uses([lstm], x=["t", "n", 3]).lengths
    places = {"places": np.arange(7)}
    assert uses([node("Less", ["places", "i"], ["y"])], places).lengths
    nodes = [node("Range", ["zero", "n", "one"], ["r"]), node("Less", ["r", "i"], ["y"])]
    assert uses(nodes, n=[]).lengths


def test_sizes_of_tensors() -> None:
    assert uses([node("Expand", ["x", "i"], ["y"])], x=["n"]).size


def test_angles_of_sines() -> None:
    nodes = [
        node("Cast", ["i"], ["t"], to=TensorProto.FLOAT),
        node("Mul", ["t", "frequencies"], ["angle"]),
        node("Cos", ["angle"], ["y"]),
    ]
    assert uses(nodes, {"frequencies": np.float32([1, 0.1])}).angle


def test_operators_of_onnx_runtime() -> None:
    embed = helper.make_node(
        "EmbedLayerNormalization", ["i", "", "table", "places"], ["y"], domain="com.microsoft"
    )
    assert uses([embed], TABLE).rows == (RowIndex("table", 0, True, "i"),)
    attention = helper.make_node(
        "Attention", ["x", "w", "b", "i"], ["y"], domain="com.microsoft", num_heads=1
    )
    assert uses([attention], x=["n", 7, 4]).passing == 1
