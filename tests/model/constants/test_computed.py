"""Which nodes are computed, and what is known of their outputs."""

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import pytest
from graphs import model_of, node, random, run
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnx_evoq.array_types import Array
from onnx_evoq.model import find_weights, fold_constants, load
from onnx_evoq.model.constants.computed import Constants


def model_with(nodes: list[NodeProto], weights: Mapping[str, Array], opset: int = 17) -> ModelProto:
    """x (n, 4) -> MatMul with the "k" of nodes -> y (n, 3)."""
    nodes = [*nodes, node("MatMul", ["x", "k"], ["y"])]
    ir_version = 8 if opset < 21 else 10
    return model_of(
        nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights, opset=opset, ir_version=ir_version
    )


def constants_of(
    nodes: list[NodeProto], weights: Mapping[str, Array], *, requantize: bool = False
) -> Constants:
    model = model_with(nodes, weights)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = Constants(model, tensors, requantize)
    constants.compute()
    return constants


W = random(4, 3)


def test_a_tensor_knows_where_it_comes_from() -> None:
    nodes = [
        node("Transpose", ["w"], ["t"]),
        node("Identity", ["t"], ["i"]),
        node("Mul", ["i", "g"], ["m"]),
        node("Transpose", ["m"], ["k"]),
    ]
    found = constants_of(nodes, {"w": W, "g": random(4)}).computed
    assert [(name, each.same_as, each.root) for name, each in found.items()] == [
        ("t", "t", "w"), ("i", "t", "w"), ("m", "m", "m"), ("k", "k", "m"),
    ]  # fmt: skip
    assert found["k"].sources == {"w", "g"}
    assert found["i"].of_layer
    assert not found["k"].grown


def test_only_what_is_read_keeps_its_values() -> None:
    nodes = [node("Mul", ["w", "g"], ["m"]), node("Abs", ["m"], ["k"])]
    assert list(constants_of(nodes, {"w": W, "g": random(3)}).values) == ["k"]


def test_equal_indices_under_two_names_give_the_same_tensor() -> None:
    nodes = [
        node("Slice", ["w", "zero", "two"], ["a"]),
        node("Slice", ["w", "null", "deux"], ["b"]),
        node("Concat", ["a", "b"], ["k"], axis=0),
    ]
    zero, two = np.array([0]), np.array([2])
    found = constants_of(nodes, {"w": W, "zero": zero, "null": zero, "two": two, "deux": two})
    assert found.same_as("b") == "a"


@pytest.mark.parametrize(
    "each",
    [
        node("RandomNormalLike", ["w"], ["k"]),
        node("Bernoulli", ["w"], ["k"]),
        node("Own", ["w"], ["k"], domain="com.example"),
        node("Dropout", ["w", "", "yes"], ["k"]),
        node("Cast", ["w"], ["k"], to=8),
        node("Reshape", ["w", "five"], ["k"]),
        node("DequantizeLinear", ["codes", "step"], ["k"]),
        node("QuantizeLinear", ["w", "step"], ["k"]),
    ],
    ids=lambda each: each.op_type,
)
def test_what_is_not_computed(each: NodeProto) -> None:
    weights = {
        "w": W, "yes": np.array(True), "five": np.array([5]), "codes": W.astype(np.int8),
        "step": np.float32(1),
    }  # fmt: skip
    assert constants_of([each], weights).computed == {}


def test_a_dropout_that_does_not_train_is_computed() -> None:
    found = constants_of([node("Dropout", ["w", "", "no"], ["k"])], {"w": W, "no": np.array(False)})
    assert found.same_as("k") == "w"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_range_of_any_length_is_not_computed(dtype: str) -> None:
    numbers = {"a": np.array(0, dtype), "b": np.array(1e12, dtype), "c": np.array(1, dtype)}
    assert constants_of([node("Range", list(numbers), ["k"])], numbers).computed == {}


def test_what_comes_after_a_node_that_is_not_computed_is_none_either() -> None:
    nodes = [
        node("Abs", ["w"], ["a"]),
        node("Own", ["a"], ["o"], domain="own"),
        node("Neg", ["o"], ["k"]),
    ]
    found = constants_of(nodes, {"w": W})
    assert list(found.computed) == list(found.values) == ["a"]


def test_an_input_of_a_body_is_no_constant() -> None:
    value = helper.make_empty_tensor_value_info
    body = helper.make_graph(
        [node("Neg", ["v"], ["o"])], "body", [value("v")], [value("o")],
        [numpy_helper.from_array(W, "v")],
    )  # fmt: skip
    nodes = [node("Scan", ["x"], ["z"], body=body, num_scan_inputs=1), node("Abs", ["w"], ["k"])]
    assert list(constants_of(nodes, {"w": W}).computed) == ["k"]


CODES = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
QUANTIZED: dict[str, tuple[NodeProto, dict[str, Array], int]] = {
    "per tensor": (
        node("DequantizeLinear", ["w_quantized", "s"], ["k"]),
        {"w_quantized": CODES, "s": np.float32(0.25)}, 10,
    ),
    "per axis": (
        node("DequantizeLinear", ["w_quantized", "s", "z"], ["k"], axis=1),
        {"w_quantized": CODES, "s": np.float32([0.5, 0.25, 2]), "z": np.int8([1, 0, -3])}, 13,
    ),
    "unsigned": (
        node("DequantizeLinear", ["w_quantized", "s", "z"], ["k"]),
        {"w_quantized": (CODES + 6).astype(np.uint8), "s": np.float32(0.5), "z": np.uint8(7)}, 13,
    ),
    "32 bits": (
        node("DequantizeLinear", ["w_quantized", "s"], ["k"]),
        {"w_quantized": CODES.astype(np.int32), "s": np.float32(0.5)}, 13,
    ),
    "16 bits": (
        node("DequantizeLinear", ["w_quantized", "s"], ["k"]),
        {"w_quantized": CODES.astype(np.int16), "s": np.float32(0.5)}, 21,
    ),
    "4 bits in blocks": (
        node("DequantizeLinear", ["w_quantized", "s"], ["k"], axis=0, block_size=4),
        {"w_quantized": CODES.astype(ml_dtypes.int4), "s": np.abs(random(1, 3))}, 21,
    ),
    "2 bits": (
        node("DequantizeLinear", ["w_quantized", "s"], ["k"], axis=0),
        {"w_quantized": (CODES // 4).astype(ml_dtypes.int2), "s": np.abs(random(4))}, 25,
    ),
    "the domain of ONNX Runtime": (
        node("DequantizeLinear", ["w_quantized", "s", "z"], ["k"], domain="com.microsoft"),
        {"w_quantized": CODES.astype(np.uint16), "s": np.float32(0.5), "z": np.uint16(3)}, 13,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", QUANTIZED)
def test_floats_of_codes_are_computed_on_request(name: str) -> None:
    each, weights, opset = QUANTIZED[name]
    model = model_with([each], weights, opset)
    if each.domain:
        model.opset_import.add(domain=each.domain, version=1)
    model.ir_version = 13 if opset == 25 else model.ir_version
    model = load(model)
    assert fold_constants(model).model is model
    assert not find_weights(model)[0]
    folded = fold_constants(model, requantize=True)
    assert [weight.name for weight in find_weights(folded.model)[0]] == ["w"]
    assert folded.grown == ((), ("w",))[weights["w_quantized"].itemsize < 4]
    x = random(5, 4)
    assert np.allclose(run(model, {"x": x})["y"], run(folded.model, {"x": x})["y"], atol=1e-6)


def test_weights_that_are_rounded_in_the_graph_are_computed_on_request() -> None:
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["k"]),
    ]
    model = load(model_with(nodes, {"w": W, "s": np.float32(0.1), "z": np.int8(0)}))
    assert fold_constants(model).model is model
    weights, skipped = find_weights(model)
    assert not weights
    assert skipped[0].reason == "already quantized (QuantizeLinear): stays as it is"
    (weight,) = find_weights(fold_constants(model, requantize=True).model)[0]
    assert (weight.name, np.abs(weight.values - W).max() <= 0.0501) == ("w", True)


def test_once_the_results_take_much_room_no_more_are_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onnx_evoq.model.constants.computed._MOST_BYTES", 47)
    nodes = [
        node("Transpose", ["v"], ["copy"], perm=[0, 1]),
        node("Neg", ["w"], ["a"]),
        node("Neg", ["v"], ["k"]),
        *(node("MatMul", ["x", each], [f"y_{each}"]) for each in ("copy", "a")),
    ]
    assert list(constants_of(nodes, {"w": W, "v": W}).computed) == ["copy", "a"]
