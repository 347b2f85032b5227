"""What the graph says of outputs."""

import pytest
from graphs import model_of, node, random

from onnx_evoq.model import output_hints

CONV = node("Conv", ["x", "w"], ["a"])
WEIGHTS = {"w": random(5, 3, 1, 1), "v": random(2, 3, 1, 1), "m": random(8, 7)}


def hint_of(*nodes: object, opset: int = 17) -> tuple[set[int], bool | None]:
    """Channels and probabilities of the output y of a model that takes images."""
    found = output_hints(
        model_of(nodes, {"x": ["n", 3, 8, 8]}, {"y": None}, WEIGHTS, opset=opset)  # type: ignore[arg-type]
    )["y"]
    return set(found.channels), found.probabilities


def test_channels_are_those_of_the_layer_before() -> None:
    assert hint_of(CONV, node("Relu", ["a"], ["y"])) == ({5}, None)
    assert hint_of(node("MatMul", ["x", "m"], ["y"])) == ({7}, False)
    assert hint_of(node("Gemm", ["x", "m"], ["y"], transB=1)) == ({8}, False)
    assert hint_of(node("ConvTranspose", ["x", "w"], ["y"], group=5)) == ({15}, False)


def test_nodes_without_weights_move_channels_only() -> None:
    nodes = [node("Transpose", ["a"], ["b"]), node("MaxPool", ["b"], ["y"], kernel_shape=[2, 2])]
    assert hint_of(CONV, *nodes)[0] == {5}


def test_a_concat_joins_channels_or_positions() -> None:
    other = node("Conv", ["x", "v"], ["b"])
    assert hint_of(CONV, other, node("Concat", ["a", "b"], ["y"], axis=1))[0] == {7}
    assert hint_of(CONV, node("Concat", ["a", "a"], ["y"], axis=2))[0] == {5, 10}


def test_both_terms_of_a_sum_are_followed() -> None:
    nodes = [node("Conv", ["x", "v"], ["b"]), node("Add", ["a", "b"], ["y"])]
    assert hint_of(CONV, *nodes) == ({2, 5}, False)


@pytest.mark.parametrize(
    ("operator", "expected"), [("Sigmoid", True), ("Softmax", True), ("LogSoftmax", False)]
)
def test_the_last_operator_tells_probabilities_from_logits(operator: str, expected: bool) -> None:
    nodes = [node(operator, ["a"], ["b"]), node("Flatten", ["b"], ["c"])]
    assert hint_of(CONV, *nodes, node("Identity", ["c"], ["y"])) == ({5}, expected)


def test_quantized_weights_have_channels_too() -> None:
    nodes = [
        node("DequantizeLinear", ["w", "w", "w"], ["q"]), node("Conv", ["x", "q"], ["y"]),
    ]  # fmt: skip
    assert hint_of(*nodes) == ({5}, False)


def test_what_is_not_known_is_left_open() -> None:
    assert hint_of(node("Relu", ["x"], ["y"])) == (set(), None)
    assert hint_of(node("MatMul", ["x", "x"], ["y"])) == (set(), False)
    assert hint_of(node("Identity", ["x"], ["y"])) == (set(), None)
