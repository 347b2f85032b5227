"""The tensors at a layer, against those of the whole model."""

from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers
from graphs import mlp, random, run
from onnx import ModelProto, helper

from onnx_evoq.batch import Batch, make_batches
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.cuts import CutWalk, Shards
from onnx_evoq.engine.layer_tensors import LayerTensors, SentTensors
from onnx_evoq.errors import ModelError
from onnx_evoq.model import find_layers, find_weights, input_specs, load
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


def shape_and_sum(tensors: dict[str, Any], batch: Batch, factor: float) -> Any:
    """What is asked for in the tests below."""
    return tensors["logits"].shape, batch.count, factor * tensors["logits"].sum()


@pytest.mark.parametrize("names", [["c", "logits"], ["logits"]])
def test_workers_have_the_same_tensors(far: FarWorkers, names: list[str]) -> None:
    layer = find_layers(MODEL, find_weights(MODEL)[0])["second"]
    walk = CutWalk(BATCHES, Resources(workers=1), 1.0, Shards(BATCHES, far, 1))
    there, here = (
        SentTensors(walk, MODEL, layer, names, BATCHES),
        tensors_at(MODEL, "second", names),
    )
    for index, batch in enumerate(BATCHES):
        assert {*names, *batch.feed} <= there.of(index).keys()
        for name in names:
            seen, expected = there.of(index)[name], here.of(index)[name]
            assert (seen.dtype, seen.shape) == (expected.dtype, expected.shape)
            assert not isinstance(seen, np.ndarray)
    one, other = (list(each.map(shape_and_sum, [1.0, 2.0])) for each in (there, here))
    assert one == other
    assert [shape for shape, _, _ in one] == [(4, 3), (3, 3)]
    assert [count for _, count, _ in one] == [4, 3]


def test_workers_that_lost_all_have_the_same_tensors_again(far: FarWorkers) -> None:
    layer = find_layers(MODEL, find_weights(MODEL)[0])["second"]
    walk = CutWalk(BATCHES, Resources(workers=1), 1.0, Shards(BATCHES, far, 1))
    there = SentTensors(walk, MODEL, layer, ["logits"], BATCHES)
    before = list(there.map(shape_and_sum, [1.0, 1.0]))
    for worker in range(far.workers):
        far.lose(worker)
    assert list(there.map(shape_and_sum, [1.0, 1.0])) == before


def test_a_tensor_that_workers_cannot_compute_is_refused(far: FarWorkers) -> None:
    layer = find_layers(MODEL, find_weights(MODEL)[0])["second"]
    walk = CutWalk(BATCHES, Resources(workers=1), 1.0, Shards(BATCHES, far, 1))
    with pytest.raises(ModelError, match="'nowhere' cannot be computed by itself"):
        SentTensors(walk, MODEL, layer, ["nowhere"], BATCHES)
