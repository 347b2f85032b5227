"""Frontiers whose tensors are with workers, against those of this process."""

from typing import Any

import pytest
from far_workers import FarWorkers
from graphs import conv_net, random

from onnx_evoq.batch import make_batches
from onnx_evoq.engine.cuts import Shards, tensors_at
from onnx_evoq.engine.frontier.frontier import Frontier
from onnx_evoq.engine.frontier.on_workers import SentFrontier
from onnx_evoq.errors import ModelError
from onnx_evoq.executors import Task
from onnx_evoq.model import as_network, fold_batch_norm, input_specs, load
from onnx_evoq.setup import Resources

MODEL = fold_batch_norm(load(conv_net()))[0]
NETWORK = as_network(MODEL)
WEIGHTS = ["w1", "w2", "w3"]
BATCHES = make_batches({"x": random(10, 3, 8, 8)}, input_specs(MODEL), 2)
ONE = Resources(workers=1)


def values(memory: Any, asked: tuple[Any, Any]) -> Any:
    return dict(tensors_at(memory, *asked))


def names() -> list[str]:
    """The outputs of the first two layers."""
    return [node.output[0] for node in MODEL.graph.node if node.op_type == "Conv"]


@pytest.mark.parametrize(("limit", "count"), [(10**9, 5), (10**9, 2), (0, 5)])
def test_tensors_are_those_of_this_process(far: FarWorkers, limit: int, count: int) -> None:
    shards = Shards(BATCHES, far, 1)
    here = Frontier(BATCHES, ONE, limit, count)
    there = SentFrontier(BATCHES, ONE, limit, count, shards)
    for index, wanted in enumerate(names()):
        one = here.ahead(NETWORK, WEIGHTS[index:], [wanted])
        other = there.ahead(NETWORK, WEIGHTS[index:], [wanted])
        for k in range(here.count):
            tensors, seen = one.of(k), other.of(k)
            one.keep(tensors)
            assert {n: (t.dtype, t.shape) for n, t in tensors.items()} == {
                n: (t.dtype, t.shape) for n, t in seen.items()
            }
            task = Task((other.stages[k], shards.batches[k]), shards.batches[k].key)
            (found,) = far.map(values, [task])
            assert found[wanted].tobytes() == tensors[wanted].tobytes()
        one.done()
        other.done()
        if count < len(BATCHES):
            here.grow(NETWORK, len(BATCHES))
            there.grow(NETWORK, len(BATCHES))
            assert there.count == len(BATCHES)


def test_a_tensor_that_cannot_be_computed_is_an_error(far: FarWorkers) -> None:
    frontier = SentFrontier(BATCHES, ONE, 10**9, 5, Shards(BATCHES, far, 1))
    with pytest.raises(ModelError):
        frontier.ahead(NETWORK, WEIGHTS, ["none"])
