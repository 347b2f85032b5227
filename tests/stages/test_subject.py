"""The model that is worked on."""

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random
from onnx import ModelProto

from onnx_evoq import optimize
from onnx_evoq.data import Data
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.stages import fold_if_exact, open_subject, prepare
from onnx_evoq.stages.subject import Subject


def settled(model: ModelProto, x: np.ndarray) -> Subject:
    subject = open_subject(model, [])
    rng = np.random.default_rng(0)
    experiment = prepare(subject.reference, "m.onnx", Data(x), "auto", 0.25, rng)
    return fold_if_exact(subject, experiment, None)


def test_batch_normalization_is_folded() -> None:
    subject = settled(conv_net(), random(8, 3, 8, 8))
    assert not any(n.op_type == "BatchNormalization" for n in subject.model.graph.node)
    assert subject.notes == ()


def vanishing() -> ModelProto:
    """Folding makes a weight so small that float16 cannot tell its values apart."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("BatchNormalization", ["a", "scale", "zero", "zero", "one"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Mul", ["c", "large"], ["y"]),
        node("Conv", ["x", "w"], ["z"]),
    ]
    weights = {
        "w": random(2, 3, 1, 1),
        "scale": np.full(2, 2e-7),
        "zero": np.zeros(2),
        "one": np.ones(2),
        "large": np.array(6e4),
    }
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    outputs = {"y": None, "z": None}
    return model_of(nodes, {"x": ["n", 3, 4, 4]}, outputs, halves, dtype="float16")


def test_where_folding_changes_the_outputs_the_model_stays() -> None:
    subject = settled(vanishing(), random(8, 3, 4, 4))
    assert any(n.op_type == "BatchNormalization" for n in subject.model.graph.node)
    assert [weight.name for weight in subject.weights] == ["w"]
    assert "was not folded" in subject.notes[0]


def test_optimizing_goes_on_with_the_weights_that_there_are_then() -> None:
    result = optimize(vanishing(), random(8, 3, 4, 4), population=2, generations=1)
    assert [layer.name for layer in result.layers] == ["w"]


def test_a_model_without_weights_is_refused() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {})
    with pytest.raises(ModelError, match="has no weights to quantize"):
        open_subject(model, [])


def test_a_pattern_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="keep 'tail' matches no weight"):
        open_subject(conv_net(), ["tail"])
