"""The tensors at a layer, against those of the whole model."""

from typing import Any

import numpy as np
import pytest
from graphs import mlp, random, rounded, run
from onnx import ModelProto, helper

from onnx_evoq.batch import Batch, make_batches
from onnx_evoq.engine import layer_tensors as module
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.layer_tensors import LayerTensors, gather_from_caches
from onnx_evoq.errors import ModelError
from onnx_evoq.model import find_layers, find_weights, input_specs, load, with_codes
from onnx_evoq.setup import Resources

MODEL = load(mlp())
X = random(7, 4)
BATCHES = make_batches({"x": X}, input_specs(MODEL), 4)


def tensors_at(
    model: ModelProto, weight: str, names: list[str], batches: list[Batch] = BATCHES
) -> LayerTensors:
    layer = find_layers(model, find_weights(model)[0])[weight]
    cache = ActivationCache(batches, Resources(workers=1))
    return LayerTensors(cache, model, layer, names, batches)


def whole_model(*names: str) -> dict[str, Any]:
    """Some tensors of the whole model for all samples."""
    model = load(mlp())
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return run(model, {"x": X})


def test_input_and_output_are_those_of_the_whole_model() -> None:
    tensors, expected = tensors_at(MODEL, "second", ["c", "logits"]), whole_model("c", "logits")
    for name, values in expected.items():
        parts = [tensors.of(index)[name] for index in range(len(BATCHES))]
        np.testing.assert_allclose(np.concatenate(parts), values, rtol=1e-5)


def test_at_the_first_layer_everything_is_computed_from_the_inputs() -> None:
    tensors, expected = tensors_at(MODEL, "first", ["x", "b"]), whole_model("b")
    np.testing.assert_array_equal(tensors.of(1)["x"], X[4:])
    np.testing.assert_allclose(tensors.of(1)["b"], expected["b"][4:], rtol=1e-5)


def test_one_batch_is_enough() -> None:
    tensors = tensors_at(MODEL, "second", ["logits"], BATCHES[:1])
    np.testing.assert_allclose(
        tensors.of(0)["logits"], whole_model("logits")["logits"][:4], rtol=1e-5
    )


def test_no_session_is_opened_for_a_tensor_that_crosses_the_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = tensors_at(MODEL, "second", ["c"])
    assert opened._session is None
    np.testing.assert_allclose(opened.of(0)["c"], whole_model("c")["c"][:4], rtol=1e-5)


def test_only_missing_tensors_are_computed() -> None:
    session = tensors_at(MODEL, "second", ["c", "logits"])._session
    assert session is not None
    assert session.outputs == ("logits",)


def test_a_tensor_that_the_cut_does_not_give_is_refused() -> None:
    with pytest.raises(ModelError, match="'nowhere' cannot be computed by itself"):
        tensors_at(MODEL, "second", ["nowhere"])


def gathered(quantized: Any, caches: list[ActivationCache]) -> Any:
    """The samples of the second layer."""
    weights = find_weights(MODEL)[0]
    (weight,) = (each for each in weights if each.name == "second")
    layer = find_layers(MODEL, weights)["second"]
    return gather_from_caches(
        MODEL, quantized, weight, layer, caches, BATCHES, np.random.default_rng(0)
    )


def caches() -> list[ActivationCache]:
    return [ActivationCache(BATCHES, Resources(workers=1)) for _ in range(2)]


def test_columns_come_from_the_first_cache_and_targets_from_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = []

    def recorded(cache: Any, model: Any, *rest: Any) -> LayerTensors:
        used.append((cache, model))
        return LayerTensors(cache, model, *rest)

    monkeypatch.setattr(module, "LayerTensors", recorded)
    both, quantized = caches(), with_codes(MODEL, rounded(MODEL, 2))
    moments = gathered(quantized, both).sums.moments()
    assert used == [(both[0], quantized), (both[1], MODEL)]
    first = quantized.values["first"].values  # type: ignore[union-attr]
    columns = np.maximum(X @ first + random(6, seed=2), 0)
    np.testing.assert_allclose(moments.x_mean[0], columns.mean(axis=0), rtol=1e-5)
    targets = whole_model("logits")["logits"].mean(axis=0)
    np.testing.assert_allclose(moments.t_mean[0], targets, rtol=1e-5)


@pytest.mark.parametrize(("most", "gathers"), [(6, True), (5, False)])
def test_too_many_columns_are_not_gathered(
    monkeypatch: pytest.MonkeyPatch, most: int, gathers: bool
) -> None:
    monkeypatch.setattr(module, "_MOST_COLUMNS", most)
    assert (gathered(MODEL, caches()) is not None) == gathers


def test_a_tensor_that_cannot_be_computed_has_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> LayerTensors:
        raise ModelError("no array")

    monkeypatch.setattr(module, "LayerTensors", fails)
    assert gathered(MODEL, caches()) is None
