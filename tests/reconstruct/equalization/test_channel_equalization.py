"""Equalization of channels: the same outputs from weights that cost less to round."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import model_of, node, random, run, task_of
from numpy.typing import NDArray
from onnx import ModelProto

from onnx_evoq.activations import quantize_activations
from onnx_evoq.model import load
from onnx_evoq.reconstruct import channel_scaling, equalize_channels, reconstruct_layers
from onnx_evoq.setup import Task

CHANNELS = 12
UNLIKE = 2.0 ** np.linspace(-4, 4, CHANNELS)


def inverted_bottleneck(
    unlike: bool = True, clip: bool = True, op_type: str = "Clip"
) -> ModelProto:
    """x (n, 4, 8, 8) -> Conv -> Clip -> depthwise Conv -> Clip -> Conv -> y (n, 3, 8, 8).

    The channels of the first two layers are of very unlike range.
    """
    scale = (UNLIKE if unlike else np.ones(CHANNELS)).reshape(-1, 1, 1, 1)
    weights = {
        "w1": random(CHANNELS, 4, 1, 1),
        "b1": random(CHANNELS, seed=1) / 4,
        "w2": random(CHANNELS, 1, 3, 3, seed=2),
        "b2": random(CHANNELS, seed=3) / 4,
        "w3": random(3, CHANNELS, 1, 1, seed=4),
        "b3": random(3, seed=5) / 4,
        "low": np.float32(0),
        "high": np.float32(40),
    }
    weights["w1"], weights["b1"] = weights["w1"] * scale, weights["b1"] * scale.ravel()
    weights["w2"] = weights["w2"] / scale
    limits = [] if op_type == "Relu" else ["low", "high"] if clip else ["low"]
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"]),
        node(op_type, ["a", *limits], ["b"]),
        node("Conv", ["b", "w2", "b2"], ["c"], group=CHANNELS, pads=[1, 1, 1, 1]),
        node(op_type, ["c", *limits], ["d"]),
        node("Conv", ["d", "w3", "b3"], ["y"]),
    ]
    floats = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    return load(model_of(nodes, {"x": ["n", 4, 8, 8]}, {"y": None}, floats))


def task(model: ModelProto, **options: object) -> Task:
    return task_of(model, random(16, 4, 8, 8, seed=6), random(8, 4, 8, 8, seed=7), **options)


def equalized(given: Task) -> Task:
    return equalize_channels(given, np.random.default_rng(0))[0]


def error(given: Task) -> float:
    return given.fitness(reconstruct_layers(given, np.random.default_rng(0)).as_float)


@pytest.mark.parametrize("clip", [True, False])
def test_the_scaled_model_computes_the_same(clip: bool) -> None:
    given = task(inverted_bottleneck(clip=clip))
    found = equalized(given)
    assert found is not given
    assert [weight.name for weight in found.weights] == ["w1", "w2", "w3"]
    x = random(2, 4, 8, 8, seed=8)
    (before,), (after,) = (run(m, {"x": x}).values() for m in (given.model, found.model))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_channels_of_unlike_range_are_reconstructed_far_better() -> None:
    given = task(inverted_bottleneck())
    assert error(equalized(given)) < 0.3 * error(given)


def test_with_a_step_per_channel_scales_gain_as_well() -> None:
    given = task(inverted_bottleneck(), granularity="channel")
    assert error(equalized(given)) < 0.95 * error(given)


def test_a_model_that_would_gain_little_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task(inverted_bottleneck(unlike=False))
    monkeypatch.setattr("onnx_evoq.reconstruct.equalization.channel_equalization._MOST_LEFT", 0.01)
    assert equalized(given) is given


def test_channels_of_weights_that_are_kept_float_stay() -> None:
    given = task(inverted_bottleneck())
    without = replace(given, weights=[w for w in given.weights if w.name != "w2"])
    assert equalized(without) is without


def test_what_errors_count_changes_the_scales_and_not_what_is_computed() -> None:
    given = task(inverted_bottleneck(op_type="Relu"), activation_bits=4)
    found = channel_scaling(given, np.random.default_rng(0), quantize_activations(given, 4))
    assert found is not None
    assert [(each.tensor, each.whole is None) for each in found.rounded] == [
        ("a", False), ("b", True), ("c", False), ("d", True), ("y", False),
    ]  # fmt: skip
    plain, same = found.scaled(), found.scaled(np.ones(5))
    other, whole = found.scaled(2.0 ** np.arange(-4, 6, 2)), found.scaled(np.ones(5), share=1.0)
    assert plain is not None
    assert same is not None
    assert plain[1:] == same[1:]
    x = random(2, 4, 8, 8, seed=8)
    (before,) = run(given.model, {"x": x}).values()
    for each in (other, whole):
        assert each is not None
        assert not all(map(np.array_equal, values(each[0]), values(plain[0])))
        (after,) = run(each[0].model, {"x": x}).values()
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def values(given: Task) -> list[NDArray[np.generic]]:
    return [weight.values for weight in given.weights]


def test_a_model_without_channels_to_scale_stays() -> None:
    model = load(
        model_of(
            [node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 3]}, {"y": None}, {"w": random(3, 2)}
        )
    )
    given = task_of(model, random(8, 3), random(8, 3, seed=1))
    assert equalized(given) is given


def test_a_layer_with_a_width_for_each_channel_keeps_its_channels() -> None:
    given = task(inverted_bottleneck(), granularity="channel")
    widths = {**given.bits, "w2": (4,) * CHANNELS}
    found = equalized(replace(given, bits=widths))
    same = {w.name: w.values for w in found.weights}
    np.testing.assert_array_equal(same["w2"], {w.name: w.values for w in given.weights}["w2"])


# Integer activations


@pytest.mark.parametrize("bits", [4, 6])
def test_activations_of_unlike_channels_are_rounded_far_better(bits: int) -> None:
    given = task(inverted_bottleneck(op_type="Relu"), activation_bits=bits)
    before = quantize_activations(given, bits)
    found, scales = equalize_channels(given, np.random.default_rng(0), before)
    after = quantize_activations(found, bits)
    assert given.fitness(after.network) < 0.5 * given.fitness(before.network)
    assert given.fitness(after.with_scales(scales).network) < 0.5 * given.fitness(before.network)
    assert scales.keys() == {"b", "d"}  # the input and the output stay
    x = random(2, 4, 8, 8, seed=8)
    (same,), (scaled,) = (run(m, {"x": x}).values() for m in (given.model, found.model))
    np.testing.assert_allclose(scaled, same, rtol=1e-4, atol=1e-4)


def test_with_integer_activations_what_a_clip_limits_stays() -> None:
    given = task(inverted_bottleneck(), activation_bits=4)
    found, scales = equalize_channels(
        given, np.random.default_rng(0), quantize_activations(given, 4)
    )
    assert (found, scales) == (given, {})


def test_scales_that_gain_too_little_leave_the_activations_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = task(inverted_bottleneck(op_type="Relu"), activation_bits=4)
    monkeypatch.setattr("onnx_evoq.reconstruct.equalization.channel_equalization._MOST_LEFT", 0.0)
    assert equalize_channels(given, np.random.default_rng(0), quantize_activations(given, 4)) == (
        given,
        {},
    )
