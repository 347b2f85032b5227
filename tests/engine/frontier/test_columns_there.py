"""What workers send is sums, and no tensor of activations."""

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, random, task_of

from onnx_evoq.executors.tasks.packing import parts_of
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.reconstruct.layer_by_layer import reconstruct_layers
from onnx_evoq.setup import Resources


def test_answers_are_small_beside_the_activations(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, original = [], far.map

    def measured(function: object, tasks: object) -> object:
        for answer in original(function, tasks):  # type: ignore[arg-type]
            sizes.append(sum(part.nbytes for part in parts_of(answer)[0]))
            yield answer

    monkeypatch.setattr(far, "map", measured)
    model, inputs = fold_batch_norm(load(conv_net()))[0], random(40, 3, 8, 8)
    resources = Resources(workers=1, cluster=FAR)
    task = task_of(model, inputs, random(16, 3, 8, 8, seed=1), size=4, resources=resources)
    reconstruct_layers(task, np.random.default_rng(0))
    activations = 4 * 6 * 8 * 8 * 4  # bytes of a batch behind the first layer
    assert sizes
    assert max(sizes) < 10 * activations
