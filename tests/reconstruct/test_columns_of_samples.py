"""The columns of a layer by sample, against sums over all positions."""

from typing import Any

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import model_of, node, random

from onnx_evoq.batch import make_batches
from onnx_evoq.engine import LayerActivations
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Model, find_layers, find_weights, input_specs, load
from onnx_evoq.reconstruct import columns_of_samples as module
from onnx_evoq.reconstruct.columns_of_samples import columns_of_samples
from onnx_evoq.setup import Resources

INPUTS = random(10, 5, 4)


def linear(batch: int | str = "n") -> Model:
    """x (n, 5, 4) -> y (n, 5, 3)."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    weights = {"w": random(4, 3), "b": random(3)}
    return load(model_of(nodes, {"x": [batch, 5, 4]}, {"y": [batch, 5, 3]}, weights))


def columns_of(
    model: Model, inputs: np.ndarray = INPUTS, size: int = 4, cluster: str | None = None
) -> Any:
    batches = make_batches({"x": inputs}, input_specs(model), size)
    activations = LayerActivations(batches, Resources(workers=1, cluster=cluster))
    weights = find_weights(model)[0]
    layer = find_layers(model, weights)["w"]
    return columns_of_samples(activations, model, layer, weights[0].shape, np.random.default_rng(3))


@pytest.mark.parametrize(("batch", "size"), [("n", 4), (8, 8)])  # 8: the last batch is filled up
def test_columns_are_summed_up_by_means_and_covariance_within_samples(
    batch: int | str, size: int
) -> None:
    means, within = columns_of(linear(batch), size=size)
    np.testing.assert_allclose(means[:, 0], INPUTS.mean(axis=1), rtol=1e-5, atol=1e-6)
    centred = (INPUTS - INPUTS.mean(axis=1, keepdims=True)).reshape(50, 4)
    np.testing.assert_allclose(within[0], centred.T @ centred / 50, rtol=1e-4, atol=1e-6)
    assert means.shape == (10, 1, 4)
    assert within.dtype == means.dtype == np.float64


def test_many_positions_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POSITIONS_PER_SAMPLE", 2)
    means = []
    for start, seed in enumerate(np.random.default_rng(3).integers(2**63, size=3).tolist()):
        at = np.random.default_rng(seed).choice(5, 2, replace=False, shuffle=False)
        means.append(INPUTS[4 * start : 4 * start + 4, at].mean(axis=1))
    found, _ = columns_of(linear())
    np.testing.assert_allclose(found[:, 0], np.concatenate(means), rtol=1e-5, atol=1e-6)


def test_workers_give_the_same_bytes_without_columns(far: FarWorkers) -> None:
    for one, other in zip(columns_of(linear(), cluster=FAR), columns_of(linear()), strict=True):
        assert one.tobytes() == other.tobytes()
    assert len(far.homes) == 3  # one for each batch


@pytest.mark.parametrize("rows", [8, 4])
def test_a_layer_without_one_entry_per_sample_has_no_columns(rows: int) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]),
        node("MatMul", ["w", "t"], ["m"]),
        node("Transpose", ["m"], ["y"], perm=[1, 0]),
    ]
    # In batches of 4, the input (8, 4) or the output (8, 4) has another first axis.
    weights = {"w": random(12 - rows, rows)}
    model = load(model_of(nodes, {"x": ["n", rows]}, {"y": ["n", 12 - rows]}, weights))
    assert columns_of(model, random(12, rows)) is None


def test_a_layer_whose_input_is_no_array_has_no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise ModelError("no array")

    monkeypatch.setattr(LayerActivations, "at", refuse)
    assert columns_of(linear()) is None
