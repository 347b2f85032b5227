"""The ranges of activations, against onnx.reference."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random
from onnx import NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_evoq.model import find_layers, find_weights, load
from onnx_evoq.model.layers.activations import activation_of
from onnx_evoq.quantize import Activation

Limits = dict[str, np.ndarray]


def clip(low: float | None, high: float | None) -> tuple[NodeProto, Limits]:
    limits = {"low": low, "high": high}
    given = {name: np.float32(limit) for name, limit in limits.items() if limit is not None}
    return node("Clip", ["x", *(name if name in given else "" for name in limits)], ["y"]), given


ACTIVATIONS: dict[str, tuple[NodeProto, Limits, Activation]] = {
    "Relu": (node("Relu", ["x"], ["y"]), {}, Activation()),
    "HardSwish": (node("HardSwish", ["x"], ["y"]), {}, Activation(-3)),
    "HardSigmoid": (node("HardSigmoid", ["x"], ["y"]), {}, Activation(-2.5, 2.5)),
    "a steep HardSigmoid": (
        node("HardSigmoid", ["x"], ["y"], alpha=0.5, beta=0.25), {}, Activation(-0.5, 1.5)
    ),
    "Clip": (*clip(-1, 2), Activation(-1, 2)),
    "Clip from below": (*clip(0.5, None), Activation(0.5)),
    "Clip from above": (*clip(None, 2), Activation(-np.inf, 2)),
}  # fmt: skip


def outputs(activation: NodeProto, limits: Limits, x: np.ndarray) -> np.ndarray:
    model = model_of([activation], {"x": ["n"]}, {"y": ["n"]}, limits)
    return ReferenceEvaluator(model).run(None, {"x": x.astype(np.float32)})[0]


def activation_for(activation: NodeProto, limits: Limits | None = None) -> Activation | None:
    tensors = {name: numpy_helper.from_array(limit) for name, limit in (limits or {}).items()}
    return activation_of(activation, tensors)


def activation_in(
    *nodes: NodeProto, outputs: tuple[str, ...] = ("y",), **limits: Any
) -> Activation | None:
    """That of a Gemm with output "x", in a model with more nodes."""
    nodes = (node("Gemm", ["i", "w"], ["x"]), *nodes)
    weights = {"w": random(4, 4), **limits}
    model = load(model_of(nodes, {"i": ["n", 4]}, dict.fromkeys(outputs), weights))
    return find_layers(model, find_weights(model)[0])["w"].activation


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_an_activation_has_these_limits(kind: str) -> None:
    activation, limits, expected = ACTIVATIONS[kind]
    found = activation_for(activation, limits)
    assert found is not None
    assert (found.low, found.high, found.alpha) == pytest.approx(
        (expected.low, expected.high, expected.alpha)
    )


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_it_is_flat_beyond_its_limits_and_not_just_within_them(kind: str) -> None:
    activation, limits, expected = ACTIVATIONS[kind]
    for limit, outwards in ((expected.low, -1), (expected.high, 1)):
        if np.isfinite(limit):
            beyond = limit + outwards * np.array([0, 0.1, 7])
            assert np.ptp(outputs(activation, limits, beyond)) == pytest.approx(0, abs=1e-6)
            within = limit - outwards * np.array([0, 0.1])
            assert np.ptp(outputs(activation, limits, within)) > 0.01


@pytest.mark.parametrize("alpha", [None, 0.0, 0.3])
def test_a_leaky_relu_has_its_slope_below_zero(alpha: float | None) -> None:
    leaky = node("LeakyRelu", ["x"], ["y"], **({} if alpha is None else {"alpha": alpha}))
    found = activation_for(leaky)
    assert found is not None
    assert (found.low, found.high) == (0, np.inf)
    below = outputs(leaky, {}, np.array([-2, -1]))
    assert below == pytest.approx([-2 * found.alpha, -found.alpha])


@pytest.mark.parametrize("alpha", [-0.5, 1.0, 2.0])
def test_a_leaky_relu_of_another_slope_than_0_to_1_is_none(alpha: float) -> None:
    assert activation_for(node("LeakyRelu", ["x"], ["y"], alpha=alpha)) is None


@pytest.mark.parametrize("alpha", [-0.2, 0.0])
def test_a_hard_sigmoid_that_does_not_rise_is_none(alpha: float) -> None:
    assert activation_for(node("HardSigmoid", ["x"], ["y"], alpha=alpha)) is None


def test_limits_of_old_clips_are_attributes() -> None:
    assert activation_for(node("Clip", ["x"], ["y"], min=-1.0, max=6.0)) == Activation(-1, 6)
    assert activation_for(node("Clip", ["x"], ["y"], max=6.0)) == Activation(-np.inf, 6)


@pytest.mark.parametrize("limits", [(None, None), (2, 2), (2, -1), (np.nan, 6), (0, np.nan)])
def test_a_clip_that_lets_all_or_nothing_through_is_none(limits: tuple[float, float]) -> None:
    assert activation_for(*clip(*limits)) is None


def test_limits_may_be_float16() -> None:
    limits = {"low": np.float16(0), "high": np.float16(6)}
    assert activation_for(clip(0, 6)[0], limits) == Activation(0, 6)


def test_limits_may_have_an_axis() -> None:
    assert activation_in(clip(0, 6)[0], low=np.float32([0]), high=np.float32([6])) == Activation(
        0, 6
    )


def test_limits_may_be_constant_nodes() -> None:
    low = helper.make_node("Constant", [], ["low"], value_float=0.0)
    high = node("Constant", [], ["high"], value=numpy_helper.from_array(np.float32(6)))
    assert activation_in(low, high, clip(0, 6)[0]) == Activation(0, 6)


def test_a_clip_with_computed_limits_is_none() -> None:
    most = node("ReduceMax", ["i"], ["high"], keepdims=0)
    assert activation_in(most, clip(0, 6)[0], low=np.float32(0)) is None


@pytest.mark.parametrize("kind", ["Sigmoid", "Abs", "Softmax"])
def test_an_operator_that_is_nowhere_flat_is_none(kind: str) -> None:
    assert activation_for(node(kind, ["x"], ["y"])) is None


def test_an_operator_of_another_domain_is_none() -> None:
    assert activation_for(node("Relu", ["x"], ["y"], domain="com.example")) is None


def limits_in(*nodes: NodeProto, **constants: Any) -> tuple[list[float], list[float]] | None:
    """The limits of four channels behind a Gemm."""
    activation = activation_in(*nodes, **constants)
    if activation is None:
        return None
    low, high = (np.broadcast_to(limit, (1, 1, 4)) for limit in (activation.low, activation.high))
    return low.ravel().tolist(), high.ravel().tolist()


HIGH = np.array([1, 2, 3, 4], np.float32)


def test_relu_and_min_clip_each_channel_at_its_own_limits() -> None:
    relu, least = node("Relu", ["x"], ["r"]), node("Min", ["r", "high"], ["y"])
    assert limits_in(relu, least, high=HIGH) == ([0] * 4, HIGH.tolist())
    most = node("Max", ["x", "low"], ["r"])
    assert limits_in(most, least, low=HIGH - 2, high=HIGH) == ((HIGH - 2).tolist(), HIGH.tolist())
    alone = node("Min", ["x", "high"], ["y"])
    assert limits_in(alone, high=HIGH) == ([-np.inf] * 4, HIGH.tolist())


def test_limits_that_are_not_those_of_channels_are_left_out() -> None:
    least = node("Min", ["x", "high"], ["y"])
    assert limits_in(least, high=np.float32(6)) is None
    assert limits_in(least, high=HIGH[:, None]) is None
    relu, second = node("Relu", ["x"], ["r"]), node("Min", ["r", "high"], ["y"])
    assert limits_in(relu, second, high=-HIGH) == ([0] * 4, [np.inf] * 4)
    leaky = node("LeakyRelu", ["x"], ["r"], alpha=0.1)
    assert limits_in(leaky, second, high=HIGH) == ([0] * 4, [np.inf] * 4)
