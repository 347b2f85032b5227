"""The emitted file computes what was scored; where it cannot, a note or an error says so."""

import json
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, rounded, types
from onnx import ModelProto, TensorProto, numpy_helper

from onnx_evoq.batch import Batch, make_batches
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import largest_difference
from onnx_evoq.model import (
    as_network,
    fold_batch_norm,
    input_specs,
    load,
    serialize,
    with_codes,
)
from onnx_evoq.pipeline import emit, metadata_of
from onnx_evoq.score import Session, predict
from onnx_evoq.setup import Score, open_session


@pytest.mark.parametrize("form", ["qdq", "float"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_was_scored_is_what_is_emitted(bits: int, form: str) -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    (batch,) = make_batches({"x": random(4, 3, 8, 8)}, input_specs(model), 4)
    quantized = rounded(model, bits)
    emitted, _ = emit(model, quantized, form, batch)
    scored, written = (
        next(predict(open_session(m), [batch])) for m in (with_codes(model, quantized), emitted)
    )
    assert largest_difference(written, scored) < 1e-5


@pytest.mark.parametrize(
    ("storage", "kind"),
    [("auto", TensorProto.INT4), ("int2", TensorProto.INT4), ("int8", TensorProto.INT8)],
)
def test_the_narrowest_type_may_be_chosen(storage: Any, kind: int) -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    (batch,) = make_batches({"x": random(4, 3, 8, 8)}, input_specs(model), 4)
    emitted, _ = emit(model, rounded(model, 4), "qdq", batch, storage=storage)
    held = {tensor.name: tensor.data_type for tensor in emitted.graph.initializer}
    assert held["w2_quantized"] == kind


def test_a_model_that_cannot_be_converted_says_what_to_do() -> None:
    # The attribute `spatial` went away with operator set 9, and DequantizeLinear came with 10.
    norm = node("BatchNormalization", ["a", "s", "s", "s", "s"], ["y"], spatial=0)
    nodes = [node("MatMul", ["x", "w"], ["a"]), norm]
    weights = {"w": random(4, 3), "s": np.ones(3, np.float32)}
    model = load(model_of(nodes, {"x": [2, 4]}, {"y": [2, 3]}, weights, opset=7))
    model.graph.node[1].attribute[0].i = 0
    batch = Batch({"x": random(2, 4)}, 2, 2)
    with pytest.raises(ModelError, match="from operator set 7 to 10: export it with 10 or newer"):
        emit(model, rounded(model, 4), "qdq", batch)


def matrix(columns: int) -> tuple[ModelProto, Batch]:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": random(64, columns)}
    model = load(model_of(nodes, {"x": ["n", 64]}, {"y": ["n", columns]}, weights))
    return model, Batch({"x": random(8, 64, seed=2)}, 8, 8)


def test_default_options_that_change_the_outputs_are_noted() -> None:
    # ONNX Runtime fuses DequantizeLinear and MatMul into a kernel that rounds the activations.
    model, batch = matrix(64)
    _, notes = emit(model, rounded(model, 4), "qdq", batch)
    raised, changed, size_alone = notes
    assert "the operator set was raised from 17 to 21" in raised
    assert "change this file's outputs by" in changed
    assert "save size, not time" in size_alone
    assert "session.disable_quant_qdq=1" in size_alone
    assert "MNN" in size_alone
    assert emit(model, rounded(model, 4), "float", batch)[1] == []
    assert emit(model, rounded(model, 4), "c", batch, storage="int8")[1] == []


@pytest.mark.parametrize(("columns", "kind"), [(64, "INT2"), (10, "INT4")])
def test_with_default_options_the_outputs_are_nearly_those_that_were_scored(
    columns: int, kind: str
) -> None:
    # That kernel reads INT2 matrices of 10 columns wrongly, which must not reach a user.
    model, batch = matrix(columns)
    quantized = rounded(model, 2)
    emitted, notes = emit(model, quantized, "qdq", batch)
    default = Session(serialize(emitted), options={})
    scored = open_session(with_codes(model, quantized))
    outputs, expected = (next(predict(session, [batch])) for session in (default, scored))
    assert largest_difference(outputs, expected) < 0.05
    assert kind in types(emitted).values()
    assert any("INT2 is not used" in note for note in notes) == (kind == "INT4")


@pytest.mark.parametrize("form", ["qdq", "float"])
def test_a_network_is_emitted_with_its_values(form: str) -> None:
    model = load(mlp())
    (batch,) = make_batches({"x": random(4, 4)}, input_specs(model), 4)
    network = as_network(model).with_values({"first_bias": random(6, seed=9)})
    emitted, _ = emit(network, rounded(model, 8), form, batch)  # type: ignore[arg-type]
    (bias,) = (each for each in emitted.graph.initializer if each.name == "first_bias")
    np.testing.assert_array_equal(numpy_helper.to_array(bias), random(6, seed=9))
    scored, written = (
        next(predict(open_session(m), [batch]))
        for m in (with_codes(network, rounded(model, 8)), emitted)
    )
    assert largest_difference(written, scored) < 1e-5


def test_metadata_say_how_a_model_was_made() -> None:
    quantized = rounded(load(mlp()), 8)
    scores = {"nearest": Score(0.5, 0.25), "evolved": Score(0.25, 0.125, {"search": 1.0})}
    found = metadata_of(quantized, 3, "mse", scores)
    assert found["onnx_evoq.seed"] == "3"
    assert json.loads(found["onnx_evoq.weights"]) == {
        name: {"bits": 8, "frac_bits": weight.grid.frac_bits} for name, weight in quantized.items()
    }
    assert json.loads(found["onnx_evoq.scores"]) == {
        "metric": "mse",
        "nearest": {"search": 0.5, "heldout": 0.25},
        "evolved": {"search": 0.25, "heldout": 0.125, "top1": {"search": 1.0}},
    }
