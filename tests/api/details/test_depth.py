"""The relative error behind each layer."""

from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, rounded, run
from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.api.details.depth import Form, errors_through_depth, scales_between
from onnx_evoq.batch import Batch
from onnx_evoq.model import (
    Model,
    channel_groups,
    find_weights,
    fold_batch_norm,
    load,
    own_biases,
    rescaled,
    with_codes,
    with_outputs,
)

X = random(6, 4, seed=3)


def errors(model: Model, forms: dict[str, Form], x: Any = X) -> list[dict[str, Any]]:
    weights, _ = find_weights(model)
    batches = [Batch({"x": part}, len(part), len(part)) for part in (x[:4], x[4:])]
    return errors_through_depth(model, weights, forms, batches)


def test_errors_are_shares_of_the_power_behind_a_layer() -> None:
    model = load(mlp())
    quantized = with_codes(model, rounded(model, 3))
    first, last = errors(model, {"nearest": Form(quantized, None)})
    for row in (first, last):
        y, r = (
            run(with_outputs(each, [row["tensor"]]), {"x": X})[row["tensor"]]
            for each in (quantized, model)
        )
        expected = np.square(y - r).sum() / np.square(r).sum()
        assert row["nearest"] == pytest.approx(expected, rel=1e-4)
    assert last["tensor"] == "logits"


def test_the_float_model_has_no_error() -> None:
    model = load(mlp())
    assert [row["same"] for row in errors(model, {"same": Form(model, model)})] == [0, 0]


def test_scaled_channels_are_compared_at_their_own_scales() -> None:
    model = own_biases(fold_batch_norm(load(conv_net()))[0], [])
    groups = channel_groups(model)
    assert groups.count
    scales = 2.0 ** np.random.default_rng(0).integers(-3, 4, groups.count)
    scaled = rescaled(model, groups, scales)
    x = random(6, 3, 8, 8)
    for row in errors(model, {"scaled": Form(scaled, scaled)}, x):
        assert row["scaled"] < 1e-9
    assert max(row["scaled"] for row in errors(model, {"scaled": Form(scaled, None)}, x)) > 0.01


def test_scales_follow_from_the_power_of_channels() -> None:
    plain = random(50, 4).astype(np.float64)
    plain[:, 3] = 0
    scaled = plain * [2**-3.125, 1, 5.1, 7]
    found = scales_between(scaled + 1e-4, plain)
    assert found[:2].tolist() == [2**-3.125, 1]  # multiples of an eighth of an octave, exactly
    assert found[2] == pytest.approx(5.1, rel=1e-3)
    assert found[3] == 1


def test_a_layer_of_integers_is_compared_behind_its_activation_function() -> None:
    task, activations = conv_task(), quantized_conv_net()
    simulated = activations.network
    x = random(6, 3, 8, 8)
    rows = errors(task.model, {"integers": Form(simulated, None)}, x)
    assert len(rows) == len(task.weights)
    assert 0 < max(row["integers"] for row in rows) < 0.01


def test_a_layer_whose_tensor_a_form_lacks_is_left_out() -> None:
    model = load(mlp())
    nodes = [node("Gemm", ["x", "w"], ["logits"])]
    other = model_of(nodes, {"x": ["n", 4]}, {"logits": ["n", 3]}, {"w": random(4, 3)})
    (row,) = errors(model, {"other": Form(load(other), None)})
    assert row["tensor"] == "logits"
    third = model_of(nodes, {"x": ["n", 4]}, {"logits": ["n", 3]}, {"w": random(4, 3)})
    third.graph.node[0].output[0] = third.graph.output[0].name = "y"
    assert errors(model, {"third": Form(load(third), None)}) == []


def test_an_error_that_is_not_finite_is_not_known() -> None:
    model = load(mlp())
    quantized = with_codes(model, rounded(model, 3))
    x = X.copy()
    x[0] = np.inf
    assert {row["a"] for row in errors(model, {"a": Form(quantized, None)}, x)} == {None}
