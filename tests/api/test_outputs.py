"""The outputs of a whole model, and how those of two models are paired."""

import numpy as np
import pytest
from graphs import mlp, random, run

from onnx_evoq.api.outputs import default_metric, named_alike, outputs_of
from onnx_evoq.data import Samples
from onnx_evoq.errors import MetricError, ModelError
from onnx_evoq.model import load

X = random(7, 4)


def test_outputs_are_those_of_all_samples() -> None:
    outputs = outputs_of(load(mlp(batch=2)), "m.onnx", Samples({"x": X}))
    np.testing.assert_allclose(outputs["logits"], run(mlp(), {"x": X})["logits"], rtol=1e-5)


def test_a_model_that_takes_other_inputs_is_named() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx: takes an input 'x' that the other model"):
        outputs_of(load(mlp()), "m.onnx", Samples({"y": X}))


def test_outputs_match_by_name_and_else_by_position() -> None:
    a, b = np.zeros((2, 3)), np.ones((2, 3))
    assert named_alike({"b": b, "a": a}, {"a": a, "b": b}, "r")["a"] is a
    assert named_alike({"p": a, "q": b}, {"a": a, "b": b}, "r")["b"] is b


def test_outputs_of_other_shapes_are_refused() -> None:
    a, b, other = np.zeros((2, 3)), np.ones((2, 3)), np.ones((2, 4))
    with pytest.raises(ModelError, match=r"its outputs \(a \(3,\), b \(3,\)\) do not match"):
        named_alike({"a": a, "b": b}, {"a": a, "b": other}, "r.onnx")
    with pytest.raises(ModelError, match=r"r\.onnx: its outputs \(a \(4,\)\) do not match"):
        named_alike({"a": np.zeros((2, 4))}, {"a": np.zeros((2, 3))}, "r.onnx")


def test_labels_ask_for_top1_and_a_reference_for_the_error() -> None:
    scores, image = {"y": np.zeros((7, 3))}, {"y": np.zeros((7, 1, 8, 8))}
    labelled = Samples({"x": X}, np.zeros(7))
    assert default_metric(labelled, scores, False).name == "top1"
    assert default_metric(labelled, image, True).name == "mse"
    assert default_metric(Samples({"x": X}, np.full(7, 0.5)), scores, True).name == "mse"
    assert default_metric(Samples({"x": X}), scores, True).name == "mse"
    with pytest.raises(MetricError, match="nothing to score against"):
        default_metric(Samples({"x": X}), scores, False)
