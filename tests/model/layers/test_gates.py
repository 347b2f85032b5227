"""The layers of recurrent operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from graphs import body, model_of, node, random

from onnx_evoq.model import Layer, find_layers, find_weights, load
from onnx_evoq.model.layers.layer import HalfBias, Product
from onnx_evoq.quantize import Dense

INPUTS, STATES = Dense("...c,drc->...dr"), Dense("...dc,drc->...dr")
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layers_of(
    kind: str, read: Sequence[str] = ("x", "w", "r", "b"), *more: Any, **attributes: Any
) -> dict[str, Layer]:
    """The layers of a recurrent operator with inputs of 4 and states of 2, and more nodes."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = 2 * GATES[kind]
    weights = {
        "w": random(directions, rows, 4),
        "r": random(directions, rows, 2),
        "b": random(directions, 2 * rows),
        "lengths": np.array([3, 2], np.int32),
    }
    nodes = [node(kind, read, ["y"], hidden_size=2, **attributes), *more]
    outputs = {each.output[0]: None for each in nodes}
    model = load(model_of(nodes, {"x": [3, 2, 4]}, outputs, weights))
    return find_layers(model, find_weights(model)[0])


def both(rows: int) -> tuple[bool, ...]:
    return (True,) * rows


@pytest.mark.parametrize(("kind", "rows"), [("LSTM", 8), ("RNN", 2)])
def test_the_states_make_up_for_errors_of_the_inputs(kind: str, rows: int) -> None:
    inputs = Layer("w", INPUTS, "y, inputs of gates", None, "b", half_bias=HalfBias(0, both(rows)))
    beside = Product("w", INPUTS, "y, inputs of gates", both(rows))
    states = Layer(
        "r", STATES, "y, states before gates", None, "b",
        beside=beside, half_bias=HalfBias(1, both(rows)),
    )  # fmt: skip
    assert layers_of(kind) == {"w": inputs, "r": states}


def test_directions_have_rows_of_their_own() -> None:
    layers = layers_of("RNN", direction="bidirectional")
    assert layers["w"].half_bias == HalfBias(0, both(4))
    assert layers["w"].linear.matrix(random(2, 2, 4)).shape == (1, 4, 4)
    assert layers["r"].linear.matrix(random(2, 2, 2)).shape == (2, 2, 2)


def test_the_hidden_gate_of_a_gru_has_a_sum_of_its_own() -> None:
    layers = layers_of("GRU", linear_before_reset=1)
    joint = (True, True, True, True, False, False)
    assert layers["w"].half_bias == HalfBias(0, joint)
    assert (layers["r"].bias, layers["r"].half_bias) == ("b", HalfBias(1, joint))
    assert layers["r"].beside is not None
    assert layers["r"].beside.channels == joint


def test_states_that_are_reset_before_correct_no_bias() -> None:
    layers = layers_of("GRU")
    assert layers["w"].half_bias == HalfBias(0, both(6))
    assert (layers["w"].bias, layers["r"].bias) == ("b", None)
    assert layers["r"].beside is not None
    assert layers["r"].beside.channels == (True, True, True, True, False, False)


@pytest.mark.parametrize("read", [["x", "w", "r"], ["x", "w", "r", "", "lengths"]])
def test_an_operator_without_a_bias(read: list[str]) -> None:
    assert [layer.bias for layer in layers_of("LSTM", read).values()] == [None, None]


def test_a_bias_that_others_read_stays() -> None:
    layers = layers_of("LSTM", ("x", "w", "r", "b"), node("Neg", ["b"], ["n"]))
    assert [layer.bias for layer in layers.values()] == [None, None]


def test_an_input_weight_that_a_node_computes_is_no_product_beside() -> None:
    layers = layers_of("RNN", ("x", "x", "r", "b"))
    assert list(layers) == ["r"]
    assert layers["r"].beside is None


def test_weights_that_two_operators_read_have_layers_that_are_tied() -> None:
    again = node("RNN", ["x", "w", "r"], ["z"], hidden_size=2)
    layers = layers_of("RNN", ("x", "w", "r", "b"), again)
    assert {name: [use.bias for use in layer.uses] for name, layer in layers.items()} == {
        "w": ["b", None],
        "r": ["b", None],
    }


def test_in_a_body_they_have_the_same_names() -> None:
    def branch(name: str, weight: str) -> Any:
        return body(name, [node("RNN", ["x", weight, "r"], [f"{name}_y"], hidden_size=2)],
                    f"{name}_y")  # fmt: skip

    nodes = [node("If", ["f"], ["y"], then_branch=branch("a", "w"), else_branch=branch("b", "v"))]
    weights = {"w": random(1, 2, 4), "v": random(1, 2, 4), "r": random(1, 2, 2)}
    inputs = {"x": [3, 2, 4], "f": []}
    model = load(model_of(nodes, inputs, {"y": None}, weights, dtypes={"f": "bool"}))
    layers = find_layers(model, find_weights(model)[0])
    assert {name: layer.input for name, layer in layers.items()} == {
        "w": "a_y, inputs of gates",
        "v": "b_y, inputs of gates",
        "r": "b_y, states before gates",
    }
