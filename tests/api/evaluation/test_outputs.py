"""The outputs of a whole model, and how those of two models are paired."""

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, run

from onnx_evoq.api.evaluation.outputs import default_metric, named_alike, outputs_of
from onnx_evoq.batch import Group, one_group
from onnx_evoq.data import Samples
from onnx_evoq.errors import MetricError, ModelError
from onnx_evoq.metrics.output_layout import OutputLayout
from onnx_evoq.model import load

X = random(7, 4)


def test_outputs_are_those_of_all_samples() -> None:
    (outputs,) = outputs_of(load(mlp(batch=2)), "m.onnx", Samples([one_group({"x": X})]))
    np.testing.assert_allclose(outputs["logits"], run(mlp(), {"x": X})["logits"], rtol=1e-5)


def test_a_model_that_takes_other_inputs_is_named() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx: takes an input 'x' that the other model"):
        outputs_of(load(mlp()), "m.onnx", Samples([one_group({"y": X})]))


def test_outputs_match_by_name_and_else_by_position() -> None:
    a, b = np.zeros((2, 3)), np.ones((2, 3))
    assert named_alike([{"b": b, "a": a}], [{"a": a, "b": b}], "r")[0]["a"] is a
    assert named_alike([{"p": a, "q": b}], [{"a": a, "b": b}], "r")[0]["b"] is b


def test_outputs_of_other_shapes_are_refused() -> None:
    a, b, other = np.zeros((2, 3)), np.ones((2, 3)), np.ones((2, 4))
    with pytest.raises(ModelError, match=r"its outputs \(a \(3,\), b \(3,\)\) do not match"):
        named_alike([{"a": a, "b": b}], [{"a": a, "b": other}], "r.onnx")
    with pytest.raises(ModelError, match=r"r\.onnx: its outputs \(a \(4,\)\) do not match"):
        named_alike([{"a": np.zeros((2, 4))}], [{"a": np.zeros((2, 3))}], "r.onnx")


def test_labels_ask_for_top1_and_a_reference_for_the_error() -> None:
    scores, image = [{"y": np.zeros((7, 3))}], [{"y": np.zeros((7, 1, 8, 8))}]
    group, layouts = one_group({"x": X}), {"y": OutputLayout()}
    labelled, regression = Samples([group], np.zeros(7)), Samples([group], np.full(7, 0.5))
    several = [*scores, {"y": np.zeros((1, 4))}]
    assert default_metric(labelled, scores, None, layouts).name == "top1"
    assert default_metric(labelled, image, image, layouts).name == "mse"
    assert default_metric(labelled, several, several, layouts).name == "mse"
    assert default_metric(regression, scores, scores, layouts).name == "mse"
    assert default_metric(Samples([group]), scores, scores, layouts).name == "mse"
    with pytest.raises(MetricError, match="nothing to score against"):
        default_metric(Samples([group]), scores, None, layouts)


def test_the_error_of_channels_that_are_unlike_tells_them_apart() -> None:
    scores, unlike = [{"y": np.zeros((7, 3))}], {"y": OutputLayout(channels=-1, power=np.ones(3))}
    found = default_metric(Samples([one_group({"x": X})]), scores, scores, unlike)
    assert found.name == "channel_nmse"


def test_samples_of_several_shapes_have_outputs_one_by_one_in_their_order() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", "t", 2]}, {"y": None}, {"w": random(2, 3)}))
    long, short = random(2, 5, 2), random(1, 4, 2, seed=1)
    groups = [Group({"x": long}, np.array([0, 2])), Group({"x": short}, np.array([1]))]
    outputs = outputs_of(model, "m.onnx", Samples(groups))
    assert [part["y"].shape for part in outputs] == [(1, 5, 3), (1, 4, 3), (1, 5, 3)]
    for part, x in zip(outputs, (long[:1], short, long[1:]), strict=True):
        np.testing.assert_allclose(part["y"], run(model, {"x": x})["y"], rtol=1e-5)
