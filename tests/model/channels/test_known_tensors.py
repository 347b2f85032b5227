"""The ids, constants and shapes that are known of tensors."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import mlp, model_of, node, random
from onnx import NodeProto

from onnx_evoq.model import load
from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO
from onnx_evoq.model.channels.known_tensors import KnownTensors, filled_ids, ids_of_values
from onnx_evoq.model.constants import MOST_VALUES
from onnx_evoq.model.layers import linear_layers


def known_of(
    x: Sequence[int | str] | None, *nodes: NodeProto, **weights: np.ndarray
) -> KnownTensors:
    """What is known at first of a model with the input x."""
    model = model_of(nodes or [node("Relu", ["x"], ["y"])], {"x": x}, {"y": None}, weights)
    return KnownTensors(load(model), [])


def test_an_input_is_pinned_with_the_shape_of_one_sample() -> None:
    ids = known_of(["n", 3, 2]).read("x")
    assert ids is not None
    assert ids.tolist() == [[[PINNED, PINNED]] * 3]


def test_a_fixed_number_of_samples_is_kept() -> None:
    assert known_of([5, 3]).ids["x"].shape == (5, 3)


@pytest.mark.parametrize(
    "x", [None, ["n", "m"], [MOST_VALUES, 2], [3, "m"]], ids=["none", "open", "large", "second"]
)
def test_an_input_of_unknown_or_large_shape_has_no_ids(x: Sequence[int | str] | None) -> None:
    assert known_of(x).read("x") is None


def test_an_input_of_the_largest_shape_has_ids() -> None:
    assert known_of([MOST_VALUES]).ids["x"].shape == (MOST_VALUES,)


def test_a_constant_is_pinned_where_it_is_not_zero() -> None:
    known = known_of(["n"], node("Add", ["x", "c"], ["y"]), c=np.array([0, 2], np.float32))
    ids = known.read("c")
    assert ids is not None
    assert ids.tolist() == [ZERO, PINNED]
    assert ids.dtype == np.int32
    assert known.constants["c"].tolist() == [0, 2]


def test_a_very_large_constant_is_pinned_without_a_look_at_its_values() -> None:
    table = np.zeros((2, MOST_VALUES // 2 + 1), np.int8)
    ids = known_of(["n", 2], table=table).read("table")
    assert ids is not None
    assert (ids.shape, ids.strides, ids.flat[0]) == (table.shape, (0, 0), PINNED)


def test_a_bias_of_a_layer_fits_every_scale_and_is_no_constant() -> None:
    model = load(mlp())
    known = KnownTensors(model, linear_layers(model.graph))
    ids = known.read("first_bias")
    assert ids is not None
    assert ids.tolist() == [ZERO] * 6
    assert set(known.constants) == {"first", "second"}


def test_inputs_of_a_node_are_all_known_or_none() -> None:
    known = known_of(["n", 2], node("Add", ["x", "c"], ["y"]), c=random(2))
    read = known.read_all(node("Add", ["x", "c"], ["y"]))
    assert read is not None
    assert [ids.shape for ids in read] == [(1, 2), (2,)]
    assert known.read_all(node("Add", ["x", "z"], ["y"])) is None


def test_ids_come_before_values() -> None:
    known = known_of(["n", 2], node("Add", ["x", "c"], ["y"]), c=random(2))
    known.ids["c"] = filled_ids(7, (2,))
    ids = known.read("c")
    assert ids is not None
    assert ids.tolist() == [7, 7]


def test_shapes_follow_from_ids_and_constants() -> None:
    known = known_of(["n", 6], node("Reshape", ["x", "s"], ["y"]), s=np.array([-1, 2, 3]))
    assert known.shape(node("Reshape", ["x", "s"], ["y"])) == (1, 2, 3)
    assert known.shapes(node("Split", ["x"], ["a", "b"], axis=1)) == [(1, 3), (1, 3)]


@pytest.mark.parametrize(
    "unknown",
    [
        node("Relu", ["z"], ["y"]),
        node("Relu", ["x"], ["y"], domain="com.example"),
        node("Slice", ["x", "zero", "zero"], ["y"]),
        node("Expand", ["x", "large"], ["y"]),
    ],
    ids=["unknown input", "another domain", "empty", "too large"],
)
def test_a_shape_that_is_unknown_empty_or_too_large_is_none(unknown: NodeProto) -> None:
    known = known_of(
        ["n", 4], node("Slice", ["x", "zero", "zero"], ["y"]),
        zero=np.array([0]), large=np.array([MOST_VALUES, 4]),
    )  # fmt: skip
    assert known.shapes(unknown) == [None]


def test_a_shape_of_one_value_is_known() -> None:
    known = known_of(["n", 4])
    assert known.shape(node("ReduceSum", ["x"], ["y"], keepdims=0)) == ()


def test_a_shape_of_the_largest_size_is_known() -> None:
    sizes = {"large": np.array([MOST_VALUES // 4, 4])}
    known = known_of(["n", 4], node("Expand", ["x", "large"], ["y"]), **sizes)
    assert known.shape(node("Expand", ["x", "large"], ["y"])) == (MOST_VALUES // 4, 4)


def test_filled_ids_take_no_memory() -> None:
    ids = filled_ids(5, (2, 3))
    assert ids.tolist() == [[5, 5, 5]] * 2
    assert ids.strides == (0, 0)


def test_ids_of_values_are_zero_where_the_values_are() -> None:
    assert ids_of_values(np.array([[0.0, -1.0], [1e-9, 0.0]])).tolist() == [[0, 1], [1, 0]]
