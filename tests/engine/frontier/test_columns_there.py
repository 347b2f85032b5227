"""What workers send of sums, and that no tensor of activations does."""

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, random, task_of

from onnx_evoq.engine.frontier import columns_there as module
from onnx_evoq.engine.frontier.columns_there import halved, whole
from onnx_evoq.executors.tasks.packing import parts_of
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.reconstruct.layer_by_layer import reconstruct_layers
from onnx_evoq.setup import Resources


@pytest.mark.parametrize("width", [1, 3, 4, 9])
def test_a_symmetric_matrix_comes_back_whole(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(module, "_ROWS", 4)
    x = random(2, 7, width)
    products = x.transpose(0, 2, 1) @ x
    products = np.tril(products) + np.tril(products, -1).transpose(0, 2, 1)
    blocks = halved(products)
    assert sum(block.size for block in blocks) <= 2 * width * (width + 4) / 2 + 2 * 16
    np.testing.assert_array_equal(whole(blocks), products)


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
