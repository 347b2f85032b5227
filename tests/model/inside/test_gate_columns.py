"""What the gates of a recurrent operator multiply."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, run
from onnx import helper

from onnx_evoq.model import load
from onnx_evoq.model.graph import part_of
from onnx_evoq.model.inside import with_shown
from onnx_evoq.model.inside.gate_columns import has_gate_columns
from onnx_evoq.model.inside.names import gate_inputs, gate_states

STEPS, SAMPLES, INPUTS, STATES = 5, 3, 4, 2
LENGTHS = [2, 5, 4]


def gathered(
    direction: str, lengths: bool, initial: bool, opset: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Inputs and states before each step as they are given, the output Y, and the weights."""
    count = 2 if direction == "bidirectional" else 1
    weights = {
        "w": random(count, STATES, INPUTS),
        "r": random(count, STATES, STATES, seed=1),
        "b": random(count, 2 * STATES, seed=2),
        "lengths": np.array(LENGTHS, np.int32),
        "h0": random(count, SAMPLES, STATES, seed=3),
    }
    read = ["x", "w", "r", "b", "lengths" if lengths else "", "h0" if initial else ""]
    rnn = node("RNN", read, ["y"], hidden_size=STATES, direction=direction)
    shape = [STEPS, "n", INPUTS]
    model = load(model_of([rnn], {"x": shape}, {"y": None}, weights, opset=opset))
    wanted = [gate_inputs(rnn), gate_states(rnn), "y"]
    outputs = [helper.make_empty_tensor_value_info(name) for name in wanted]
    part = part_of(model, with_shown(model, wanted), list(model.graph.input), outputs)
    found = run(part, {"x": random(STEPS, SAMPLES, INPUTS, seed=4)})
    return found[wanted[0]], found[wanted[1]], found["y"], weights


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_each_state_follows_from_the_inputs_and_the_state_before(
    direction: str, lengths: bool, initial: bool
) -> None:
    x, h, y, weights = gathered(direction, lengths, initial, 14)
    counts = LENGTHS if lengths else [STEPS] * SAMPLES
    x, h = x.reshape(sum(counts), INPUTS), h.reshape(sum(counts), -1, STATES)
    real = [(sample, step) for sample, n in enumerate(counts) for step in range(n)]
    np.testing.assert_array_equal(
        x, [random(STEPS, SAMPLES, INPUTS, seed=4)[step, sample] for sample, step in real]
    )
    for index, (w, r, b) in enumerate(zip(*(weights[k] for k in "wrb"), strict=True)):
        behind = np.tanh(x @ w.T + h[:, index] @ r.T + b[:STATES] + b[STATES:])
        expected = [y[step, index, sample] for sample, step in real]
        np.testing.assert_allclose(behind, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [7, 12])
def test_operator_sets_of_old_have_them_too(opset: int) -> None:
    x, h, _, _ = gathered("bidirectional", False, True, opset)
    assert (x.shape, h.shape) == ((SAMPLES, STEPS, INPUTS), (SAMPLES, STEPS, 2, STATES))
    np.testing.assert_array_equal(h[:, 0, 0], random(2, SAMPLES, STATES, seed=3)[0])
    np.testing.assert_array_equal(h[:, -1, 1], random(2, SAMPLES, STATES, seed=3)[1])


def test_an_output_that_the_node_leaves_out_is_added() -> None:
    rnn = node("RNN", ["x", "w", "r"], ["", "last"], hidden_size=STATES)
    weights = {"w": random(1, STATES, INPUTS), "r": random(1, STATES, STATES)}
    model = load(model_of([rnn], {"x": [STEPS, "n", INPUTS]}, {"last": None}, weights))
    changed = with_shown(model, [gate_states(rnn)])
    assert changed[0].output[0]
    assert not model.graph.node[0].output[0]


@pytest.mark.parametrize(
    ("kind", "read", "attributes", "opset", "expected"),
    [
        ("LSTM", ["x", "w", "r"], {}, 7, True),
        ("GRU", ["x", "w", "r", "", "lengths"], {}, 10, False),
        ("GRU", ["x", "w", "r", "", "lengths"], {}, 11, True),
        ("RNN", ["x", "w", "r"], {"layout": 1}, 14, False),
        ("LSTM", ["x", "w", "r"], {"domain": "own"}, 14, False),
        ("MatMul", ["x", "w"], {}, 14, False),
    ],
)
def test_which_nodes_have_columns(
    kind: str, read: list[str], attributes: dict[str, Any], opset: int, expected: bool
) -> None:
    assert has_gate_columns(node(kind, read, ["y"], **attributes), opset) is expected
