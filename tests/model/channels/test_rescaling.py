"""Rescaled models compute the same outputs."""

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from onnx_evoq import array_blocks
from onnx_evoq.model import channel_groups, find_weights, fold_batch_norm, load, rescaled
from onnx_evoq.model.channels.rescaling import _scaled


def values_of(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """The values of the initializers."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def two_layers(w1: NDArray[np.floating], dtype: str = "float32") -> ModelProto:
    """x (n, 3) -> Gemm (3, 2) -> Relu -> Gemm (1, 2), transposed -> y."""
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("Gemm", ["r", "w2"], ["y"], transB=1),
    ]
    weights = {
        "w1": w1.astype(dtype),  # (in, out)
        "b1": np.array([7, 8], dtype),
        "w2": np.array([[20, 40]], dtype),  # (out, in)
    }
    return load(model_of(nodes, {"x": ["n", 3]}, {"y": None}, weights, dtype=dtype))


W1 = np.array([[1, 2], [3, 4], [5, 6]])


def test_scales_worked_by_hand() -> None:
    model = two_layers(W1)
    groups = channel_groups(model)
    assert groups.count == 2
    values = values_of(rescaled(model, groups, np.array([2.0, 0.5])))
    assert values["w1"].tolist() == [[2, 1], [6, 2], [10, 3]]
    assert values["b1"].tolist() == [14, 4]
    assert values["w2"].tolist() == [[10, 80]]


def test_groups_are_numbered_in_the_order_of_the_layers() -> None:
    groups = channel_groups(two_layers(W1))
    assert {name: rows.tolist() for name, rows in groups.rows.items()} == {"w1": [0, 1], "w2": [-1]}
    assert groups.columns["w1"].tolist() == [-1, -1, -1]
    assert groups.columns["w2"].tolist() == [0, 1]
    assert groups.rows["w1"].dtype == np.intp


def test_the_groups_of_tensors_that_are_asked_for() -> None:
    found = channel_groups(two_layers(W1), ["x", "a", "r", "y", "unknown"]).tensors
    assert {name: groups.tolist() for name, groups in found.items()} == {
        "x": [[-1]], "a": [[0, 1]], "r": [[0, 1]], "y": [[-1]],
    }  # fmt: skip


def test_a_tensor_whose_groups_differ_along_two_axes_has_no_channels() -> None:
    nodes = [
        node("Conv", ["x", "w1"], ["a"]),
        node("Pad", ["a", "pads"], ["b"]),
        node("Conv", ["b", "w2"], ["y"]),
    ]
    weights = {
        "w1": random(4, 3, 1, 1), "w2": random(2, 4, 1, 1),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }  # fmt: skip
    model = load(model_of(nodes, {"x": ["n", 3, 5, 5]}, {"y": None}, weights))
    found = channel_groups(model, ["a", "b"]).tensors
    assert found.keys() == {"a"}
    assert found["a"].tolist() == [[[[0]], [[1]], [[2]], [[3]]]]


def test_channels_that_are_only_zero_belong_to_no_group() -> None:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("Pad", ["a", "pads"], ["b"]),
        node("MatMul", ["b", "w2"], ["y"]),
    ]
    weights = {"w1": random(3, 2), "w2": random(3, 2), "pads": np.array([0, 1, 0, 0])}
    groups = channel_groups(load(model_of(nodes, {"x": ["n", 3]}, {"y": None}, weights)))
    assert groups.columns["w2"].tolist() == [-1, 0, 1]


def test_each_kernel_entry_of_a_convolution_is_scaled() -> None:
    nodes = [node("Conv", ["x", "w1"], ["a"], group=2), node("Conv", ["a", "w2"], ["y"])]
    weights = {"w1": random(4, 2, 3, 3), "w2": random(2, 4, 1, 1)}
    model = load(model_of(nodes, {"x": ["n", 4, 5, 5]}, {"y": None}, weights))
    scales = np.array([1.0, 2.0, 4.0, 8.0])
    scaled = rescaled(model, channel_groups(model), scales)
    values = values_of(scaled)
    factors = scales.astype(np.float32).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(values["w1"], weights["w1"] * factors)
    np.testing.assert_array_equal(values["w2"], weights["w2"] / factors.reshape(1, 4, 1, 1))
    x = random(1, 4, 5, 5, seed=3)
    (before,), (after,) = (run(m, {"x": x}).values() for m in (model, scaled))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


def test_all_blocks_of_a_large_weight_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_blocks, "_BLOCK", 64)
    values, factors = random(3, 2, 4), np.array([[1, 2], [3, 4], [5, 0.5]])  # blocks of two rows
    scaled = _scaled(values, factors)
    assert scaled.dtype == np.float32
    assert np.array_equal(scaled, values * factors.astype(np.float32)[:, :, None])


def test_float16_models_stay_float16() -> None:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    groups = channel_groups(model)
    assert groups.count == 6
    scaled = rescaled(model, groups, np.full(6, 2.0))
    assert {weight.dtype for weight in find_weights(scaled)[0]} == {"float16"}


def test_a_value_beyond_float16_becomes_infinite() -> None:
    model = two_layers(W1, "float16")
    values = values_of(rescaled(model, channel_groups(model), np.array([60000.0, 1.0])))
    assert values["w1"].tolist() == [[60000, 2], [np.inf, 4], [np.inf, 6]]


def test_the_model_that_was_given_stays_as_it_is() -> None:
    model = load(mlp())
    before = model.SerializeToString(deterministic=True)
    groups = channel_groups(model)
    rescaled(model, groups, np.full(groups.count, 2.0))
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("scales", [[1, 2], [1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, np.inf]])
def test_scales_must_be_positive_and_one_for_each_group(scales: list[float]) -> None:
    model = load(mlp())
    with pytest.raises(ValueError, match="6 positive numbers"):
        rescaled(model, channel_groups(model), np.array(scales, np.float64))
