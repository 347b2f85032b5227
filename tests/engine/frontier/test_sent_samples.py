"""Layers that are reconstructed where the samples are: the same bytes as in this process."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, mlp, random, task_of

from onnx_evoq.engine.samples import gathering
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.reconstruct import walk
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.setup import Resources

MODELS = {
    "conv": (lambda: fold_batch_norm(load(conv_net()))[0], (3, 8, 8)),
    "mlp": (lambda: load(mlp()), (4,)),
}


def reconstructed(
    name: str, cluster: str | None, heldout: bool = True, seed: int = 0
) -> QuantizedModel:
    made, shape = MODELS[name]
    inputs = random(40, *shape, seed=seed)
    judges, resources = random(16, *shape, seed=1), Resources(workers=1, cluster=cluster)
    task = task_of(made(), inputs, judges, size=4, resources=resources)
    if not heldout:
        task = replace(task, heldout_set=task.search_set)
    return reconstruct_layers(task, np.random.default_rng(0))


def assert_equal(one: QuantizedModel, other: QuantizedModel) -> None:
    assert one.layers.keys() == other.layers.keys()
    assert one.layers
    for name, layer in one.layers.items():
        for part in ("bias", "up", "down", "spread", "best_weight"):
            assert getattr(layer, part).tobytes() == getattr(other.layers[name], part).tobytes()
        codes = layer.quantized.codes, other.layers[name].quantized.codes
        assert codes[0].tobytes() == codes[1].tobytes()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("heldout", [False, True])
def test_layers_are_the_same_on_workers(far: FarWorkers, name: str, heldout: bool) -> None:
    here = reconstructed(name, None, heldout)
    assert not far.asked
    assert_equal(reconstructed(name, FAR, heldout), here)
    assert len(far.homes) == 4


@pytest.mark.parametrize("kind", ["many columns", "samples that come later", "no frontier"])
def test_they_are_the_same_however_columns_are_gathered(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "many columns":
        monkeypatch.setattr(gathering, "MANY_COLUMNS", 1)
    if kind == "samples that come later":
        monkeypatch.setattr(walk, "_FIRST_SAMPLES", 4)
        monkeypatch.setattr(walk, "_POSITIONS_PER_TAKEN", 0.4)
    if kind == "no frontier":
        monkeypatch.setattr(walk, "_MOST_KEPT", 0)
    assert_equal(reconstructed("conv", FAR), reconstructed("conv", None))


def test_the_same_layer_with_other_samples_is_gathered_anew(far: FarWorkers) -> None:
    # All that the two runs have in common is with the workers.
    one, other = (reconstructed("conv", FAR, seed=seed) for seed in (0, 1))
    assert_equal(other, reconstructed("conv", None, seed=1))
    assert any(one.layers[n].best_weight.tobytes() != other.layers[n].best_weight.tobytes()
               for n in one.layers)  # fmt: skip


def test_a_worker_that_lost_all_goes_through_the_same_parts(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, original, lost = reconstructed("conv", None), far.map, list[int]()

    def losing(function: Any, tasks: Any) -> Any:
        lost.append(len(lost) % far.workers)
        far.lose(lost[-1])
        return original(function, tasks)

    monkeypatch.setattr(far, "map", losing)
    assert_equal(reconstructed("conv", FAR), here)
    assert set(lost) == {0, 1}
