"""Outputs and shapes of single nodes, from known inputs."""

import numpy as np
import pytest
from graphs import model_of, node
from onnx import ModelProto, NodeProto

from onnx_evoq.model.constants.one_node import MOST_VALUES, NodeValues, count, shapes_of, values_of

X = np.arange(6, dtype=np.int32).reshape(2, 3)


def host(opset: int = 17) -> ModelProto:
    """A model that states an operator set."""
    return model_of([node("Relu", ["x"], ["y"])], {"x": None}, {"y": None}, {}, opset=opset)


def values(each: NodeProto, *inputs: NodeValues | None, constant: str = "") -> list[NodeValues]:
    """The outputs; `constant` has a "c" for each input whose values are known."""
    known = [kind == "c" for kind in constant.ljust(len(inputs))]
    return values_of(each, inputs, known, host())


def shapes(
    each: NodeProto, *inputs: NodeValues | None, constant: str = "", opset: int = 17
) -> list:
    known = [kind == "c" for kind in constant.ljust(len(inputs))]
    return shapes_of(each, inputs, known, host(opset))


def test_values_are_moved_as_the_node_says() -> None:
    (turned,) = values(node("Transpose", ["x"], ["y"], perm=[1, 0]), X)
    assert turned.tolist() == X.T.tolist()
    assert turned.dtype == np.int32


def test_all_outputs_are_computed() -> None:
    one, other = values(node("Split", ["x"], ["a", "b"], axis=0), X)
    assert (one.tolist(), other.tolist()) == ([[0, 1, 2]], [[3, 4, 5]])


def test_the_same_tensor_may_be_two_inputs_with_different_values() -> None:
    (row,) = values(node("Concat", ["x", "x"], ["y"], axis=1), X, X + 10)
    assert row.tolist() == [[0, 1, 2, 10, 11, 12], [3, 4, 5, 13, 14, 15]]


def test_an_input_may_be_left_out() -> None:
    clip = node("Clip", ["x", "", "high"], ["y"])
    (clipped,) = values(clip, X.astype(np.float32), None, np.float32(3))
    assert clipped.tolist() == [[0, 1, 2], [3, 3, 3]]


def test_the_node_stays_as_it_is() -> None:
    concat = node("Concat", ["x", "x"], ["y"], axis=1)
    before = concat.SerializeToString()
    values(concat, X, X)
    assert concat.SerializeToString() == before


def test_a_node_that_cannot_be_computed_is_named() -> None:
    with pytest.raises(ValueError, match=r"Concat\(y\) cannot be computed"):
        values(node("Concat", ["x", "x"], ["y"], axis=1), X, X[:1])


def expand(size: int) -> list:
    """A constant expanded to so many values."""
    inputs = [np.int32([1]), np.array([size])]
    return values_of(node("Expand", ["x", "s"], ["y"], "expansion"), inputs, [False, True], host())


def test_an_output_that_is_too_large_is_refused_before_it_is_computed() -> None:
    with pytest.raises(ValueError, match=f"expansion makes more than {MOST_VALUES} values"):
        expand(MOST_VALUES + 1)


def test_an_output_of_the_largest_size_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.model.constants.one_node.MOST_VALUES", 10)
    assert expand(10)[0].tolist() == [1] * 10
    with pytest.raises(ValueError, match="more than 10 values"):
        expand(11)


def test_one_output_that_is_too_large_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.model.constants.one_node.MOST_VALUES", 4)
    split = node("Split", ["x", "sizes"], ["a", "b"], axis=0)
    with pytest.raises(ValueError, match="more than 4 values"):
        values(split, np.int32([1, 2, 3, 4, 5, 6]), np.array([1, 5]), constant=" c")


def test_a_shape_with_one_unknown_size_is_none() -> None:
    assert shapes(node("TopK", ["x", "k"], ["v", "i"]), X, np.array([2])) == [None, None]


def test_the_largest_tensor_has_2_to_the_24_values() -> None:
    assert MOST_VALUES == 16_777_216


def test_a_lack_of_memory_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("onnx_evoq.model.constants.one_node.ReferenceEvaluator", fail)
    with pytest.raises(MemoryError):
        values(node("Relu", ["x"], ["y"]), X)


def test_a_shape_follows_from_a_constant() -> None:
    reshape = node("Reshape", ["x", "s"], ["y"])
    assert shapes(reshape, X, np.array([3, -1]), constant=" c") == [(3, 2)]


def test_a_shape_does_not_follow_from_values_that_are_no_constants() -> None:
    assert shapes(node("Reshape", ["x", "s"], ["y"]), X, np.array([3, -1])) == [None]


@pytest.mark.parametrize(("size", "known"), [(1024, True), (1025, False)])
def test_shapes_follow_from_small_constants_only(size: int, known: bool) -> None:
    shape = np.ones(size, np.int64)
    made = shapes(node("Reshape", ["x", "s"], ["y"]), X[:1, :1], shape, constant=" c")
    assert made == ([(1,) * size] if known else [None])


def test_shapes_of_float_ids_do_not_depend_on_their_type() -> None:
    conv = node("Conv", ["x", "w"], ["y"])
    x, w = np.zeros((1, 2, 5, 5), np.int32), np.zeros((4, 2, 3, 3), np.float64)
    assert shapes(conv, x, w, constant=" c") == [(1, 4, 3, 3)]


def test_a_float_constant_of_a_shape_is_used_too() -> None:
    resize = node("Resize", ["x", "", "s"], ["y"])
    scales = np.array([1, 2], np.float32)
    assert shapes(resize, X, None, scales, constant="  c") == [(2, 6)]


@pytest.mark.parametrize(
    "each", [node("Own", ["x"], ["y", "z"]), node("MatMul", ["x", "x"], ["y"])]
)
def test_shapes_of_nodes_that_are_not_understood_are_none(each: NodeProto) -> None:
    assert shapes(each, *[X] * len(each.input)) == [None] * len(each.output)


def test_the_operator_set_of_the_model_counts() -> None:
    squeeze = node("Squeeze", ["x"], ["y"], axes=[0])
    assert shapes(squeeze, X[:1], opset=11) == [(3,)]


def test_the_number_of_values_is_the_product_of_the_sizes() -> None:
    assert (count(()), count((2, 3)), count((2, 0))) == (1, 6, 0)
    assert count((1 << 20, 1 << 20)) == 1 << 40
