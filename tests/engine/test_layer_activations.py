"""Columns and targets that are gathered where the samples are, against the whole model."""

from typing import Any

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, mlp, random, rounded, run
from onnx import helper

from onnx_evoq.batch import make_batches
from onnx_evoq.engine import layer_activations as module
from onnx_evoq.engine.layer_activations import LayerActivations, gather_at
from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    find_layers,
    find_weights,
    fold_batch_norm,
    input_specs,
    load,
    with_codes,
)
from onnx_evoq.setup import Resources

MODEL = load(mlp())
X = random(7, 4)
BATCHES = make_batches({"x": X}, input_specs(MODEL), 4)
CONV = fold_batch_norm(load(conv_net()))[0]
IMAGES = make_batches({"x": random(20, 3, 8, 8)}, input_specs(CONV), 2)


def activations(cluster: str | None = None) -> LayerActivations:
    return LayerActivations(BATCHES, Resources(workers=1, cluster=cluster))


def gathered(quantized: Any, both: tuple[LayerActivations, LayerActivations]) -> Any:
    """The samples of the second layer."""
    weights = find_weights(MODEL)[0]
    (weight,) = (each for each in weights if each.name == "second")
    layer = find_layers(MODEL, weights)["second"]
    return gather_at(MODEL, quantized, weight, layer, both, np.random.default_rng(0))


@pytest.mark.parametrize("cluster", [None, FAR])
def test_columns_are_those_of_one_model_and_targets_of_the_other(
    far: FarWorkers, cluster: str | None
) -> None:
    quantized = with_codes(MODEL, rounded(MODEL, 2))
    moments = gathered(quantized, (activations(cluster), activations(cluster))).sums.moments()
    first = quantized.values["first"].values  # type: ignore[union-attr]
    columns = np.maximum(X @ first + random(6, seed=2), 0)
    np.testing.assert_allclose(moments.x_mean[0], columns.mean(axis=0), rtol=1e-5)
    whole = load(mlp())
    del whole.graph.output[:]
    whole.graph.output.append(helper.make_empty_tensor_value_info("logits"))
    targets = run(whole, {"x": X})["logits"].mean(axis=0)
    np.testing.assert_allclose(moments.t_mean[0], targets, rtol=1e-5)
    assert bool(far.asked) == (cluster is not None)


def moments_of_layers(cluster: str | None, passed: int = 0) -> list[Any]:
    """The moments of the layers of a network, but of some at first that are passed."""
    float_model = LayerActivations(IMAGES, Resources(workers=1, cluster=cluster))
    rng, found = np.random.default_rng(0), []
    weights = find_weights(CONV)[0]
    layers = find_layers(CONV, weights)
    for index, weight in enumerate(weights):
        if index < passed:
            float_model.passes(CONV, weight.name)
            rng.integers(2**63, size=len(IMAGES))
            continue
        layer, both = layers[weight.name].without_activations, (float_model, float_model)
        samples = gather_at(CONV, CONV, weight, layer, both, rng, 60)
        assert samples is not None
        moments = samples.sums.moments()
        found.append([moments.hessian.tobytes(), moments.cross.tobytes(), moments.x_mean.tobytes()])
    return found


def test_moments_are_the_same_on_workers(far: FarWorkers) -> None:
    here = moments_of_layers(None)
    assert not far.asked
    assert moments_of_layers(FAR) == here
    assert len(here) == 3
    assert len(far.homes) == 4


@pytest.mark.parametrize("cluster", [None, FAR])
def test_behind_layers_that_are_passed_they_are_the_same(
    far: FarWorkers, cluster: str | None
) -> None:
    assert moments_of_layers(cluster, 2) == moments_of_layers(None)[2:]


def test_no_columns_come_from_a_worker(far: FarWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, original = [], far.map

    def noting(*given: Any) -> Any:
        for answer in original(*given):
            answers.append(answer)
            yield answer

    monkeypatch.setattr(far, "map", noting)
    moments_of_layers(FAR)
    chunks = [chunk for some in answers for each in some for chunk in getattr(each, "chunks", ())]
    assert answers
    assert not chunks


def test_after_a_restart_activations_come_from_the_inputs(far: FarWorkers) -> None:
    there = activations(FAR)
    layer = find_layers(MODEL, find_weights(MODEL)[0])["second"]
    one = there.at(MODEL, layer, ["logits"])
    there.restart()
    other = there.at(MODEL, layer, ["logits"])
    assert one.stages[0].here[0].walk != other.stages[0].here[0].walk  # type: ignore[union-attr]


@pytest.mark.parametrize(("most", "gathers"), [(6, True), (5, False)])
def test_too_many_columns_are_not_gathered(
    monkeypatch: pytest.MonkeyPatch, most: int, gathers: bool
) -> None:
    monkeypatch.setattr(module, "_MOST_COLUMNS", most)
    assert (gathered(MODEL, (activations(), activations())) is not None) == gathers


def test_a_tensor_that_cannot_be_computed_has_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> None:
        raise ModelError("no array")

    monkeypatch.setattr(module, "LayerTensors", fails)
    assert gathered(MODEL, (activations(), activations())) is None
