"""What workers send is sums, and no tensor of activations."""

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, mlp, random, task_of

from onnx_evoq.engine.frontier.columns_there import Gathered
from onnx_evoq.engine.samples import gathering
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


@pytest.mark.parametrize(
    ("name", "samples", "few"), [("conv", 40, False), ("many columns", 40, False), ("mlp", 4, True)]
)
def test_columns_are_sent_only_where_they_are_fewer_than_their_products(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch, name: str, samples: int, few: bool
) -> None:
    answers, original = list[Gathered](), far.map

    def noting(function: object, tasks: object) -> object:
        for answer in original(function, tasks):  # type: ignore[arg-type]
            answers.extend(each for each in answer if isinstance(each, Gathered))
            yield answer

    monkeypatch.setattr(far, "map", noting)
    if name == "many columns":
        monkeypatch.setattr(gathering, "MANY_COLUMNS", 1)
    model = load(mlp()) if name == "mlp" else fold_batch_norm(load(conv_net()))[0]
    shape = (4,) if name == "mlp" else (3, 8, 8)
    task = task_of(
        model, random(samples, *shape), random(16, *shape, seed=1), size=4,
        resources=Resources(workers=1, cluster=FAR),
    )  # fmt: skip
    reconstruct_layers(task, np.random.default_rng(0))
    chunks = [chunk for answer in answers for chunk, *_ in answer.chunks]
    assert bool(chunks) == few
    assert not any(chunk.heldout for chunk in chunks)
    assert all(chunk.columns.shape[1] <= chunk.columns.shape[2] for chunk in chunks)
    judges = sum(positions for answer in answers for positions, _ in answer.judges)
    assert bool(judges) == (name != "conv")
