"""Layers of a reconstruction that are kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graphs import conv_net, random, task_of
from kept_runs import Killed, Kills

from onnx_evoq.quantize import FULL
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.reconstruct.kept_layers import KeptLayer, keep_layer, kept_count, kept_layer
from onnx_evoq.record.steps import FolderSteps


def test_a_layer_that_was_rounded_is_kept_with_its_effort(tmp_path: Path) -> None:
    steps, rng = FolderSteps(tmp_path), np.random.default_rng(0)
    keep_layer(steps, "w", KeptLayer(FULL, None, {}, unreached=True), rng)
    found = kept_layer(steps, "w", rng)
    assert found is not None
    assert (found.effort, found.found, found.unreached) == (FULL, None, True)
    assert kept_layer(steps, "another", rng) is None


def test_the_number_of_samples_is_chosen_once(tmp_path: Path) -> None:
    steps = FolderSteps(tmp_path)
    assert [kept_count(steps, lambda: 7), kept_count(steps, lambda: 8)] == [7, 7]


def test_a_reconstruction_goes_on_behind_the_layers_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(conv_net(), random(40, 3, 8, 8), random(8, 3, 8, 8))
    whole = reconstruct_layers(task, np.random.default_rng(0))
    kept = replace(task, steps=FolderSteps(tmp_path))
    for after in (2, 1):
        with monkeypatch.context() as patch:
            Kills(patch, after)
            with pytest.raises(Killed):
                reconstruct_layers(kept, np.random.default_rng(0))
    found = reconstruct_layers(kept, np.random.default_rng(0))
    for name, layer in whole.layers.items():
        assert np.array_equal(found.layers[name].quantized.codes, layer.quantized.codes)
        assert np.array_equal(found.layers[name].up, layer.up)
        assert np.array_equal(found.layers[name].best_weight, layer.best_weight)
    assert found.nearest == whole.nearest
