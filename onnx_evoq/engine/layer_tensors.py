"""The tensors around a layer of a model: its input, its output and their neighbours.

The model is cut at the layer, and the tensors behind the cut are computed from those that cross it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.cuts import BatchTensors, Crossing, CutWalk, run_on, specs_of, tensors_at
from onnx_evoq.errors import ModelError
from onnx_evoq.executors import Memory, Reference
from onnx_evoq.model import Layer, Network, Runnable, bridge, cut_at
from onnx_evoq.parallel import in_order
from onnx_evoq.setup import open_session, workers_of

PerBatch = Callable[[Arrays, Batch, Any], Any]  # is given the tensors of a batch, it, and more


class LayerTensors:
    """Computes some tensors at a layer of a model, batch by batch, in this process.

    Args:
        cache: the activation cache of the model.
        model: the model.
        layer: the layer at which the model is cut.
        names: the tensors to compute.
        batches: the samples.

    Raises:
        ModelError: a tensor cannot be computed from those at the cut, or is no array.
        StorageError: the disk has no room for activations that do not fit into memory.
    """

    def __init__(
        self,
        cache: ActivationCache,
        model: Runnable,
        layer: Layer,
        names: Sequence[str],
        batches: Sequence[Batch],
    ) -> None:
        crossing = cache.crossing(model, cut_at(model, layer.weight))
        self._batches, self._workers = batches, workers_of(cache.resources)
        self._known = BatchTensors(batches, crossing)
        part = _part_behind(model, self._known, names)
        self._session = None
        if part is not None:
            self._session = open_session(part, cache.resources, _label(layer))

    def of(self, index: int) -> Arrays:
        """The tensors of one batch by name: the inputs, those at the cut, and those to compute."""
        known = self._known[index]
        if self._session is None:
            return known
        return {**known, **run_on(self._session, known)}

    def map(self, function: PerBatch, arguments: Sequence[Any]) -> Iterator[Any]:
        """What a function gives for each batch, in their order.

        Args:
            function: is given the tensors of a batch, the batch, and its argument.
            arguments: of the batches.
        """

        def work(index: int) -> Any:
            return function(self.of(index), self._batches[index], arguments[index])

        return in_order(work, range(len(self._batches)), self._workers)


class SentTensors:
    """The same tensors, which are with the workers of a cluster.

    Attributes:
        stages: at which they are, of each batch.
        shards: which worker has which batches.

    Args:
        walk: goes through the model.
        model: the model.
        layer: the layer at which the model is cut.
        names: the tensors to compute.
        batches: the samples.

    Raises:
        ModelError: a tensor cannot be computed from those at the cut, or is no array.
        StorageError: a disk has no room for activations that do not fit into memory.
    """

    def __init__(
        self,
        walk: CutWalk,
        model: Runnable,
        layer: Layer,
        names: Sequence[str],
        batches: Sequence[Batch],
    ) -> None:
        found: Crossing = walk.crossing(model, cut_at(model, layer.weight))
        part = _part_behind(model, BatchTensors(batches, found.tensors), names)
        if part is not None:
            found = walk.behind(found, part, _label(layer), names)
        self._seen, self.shards = BatchTensors(batches, found.tensors), walk.shards
        self.stages = [found.stage] * len(batches)

    def of(self, index: int) -> Arrays:
        """The inputs of one batch, and what has the types and shapes of the other tensors."""
        return self._seen[index]

    def map(self, function: PerBatch, arguments: Sequence[Any]) -> Iterator[Any]:
        """What a function gives for each batch, in their order, as `LayerTensors.map`."""
        shards, held = self.shards, self.shards.executor.hold(function)

        def asked(some: Sequence[range]) -> "_Asked":
            numbers = [[(shards.batches[k], arguments[k]) for k in each] for each in some]
            return _Asked(held, self.stages[0], numbers)

        found = shards.map(_applied, asked, range(len(self.stages)))
        return (each for of_shard in found for each in of_shard)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Asks for what a function gives for the batches of some shards, each with its argument."""

    function: Reference[PerBatch]
    stage: Any  # a reference to it
    shards: Sequence[Sequence[tuple[Reference[Batch], Any]]]


def _applied(memory: Memory, asked: _Asked) -> list[list[Any]]:
    function = memory.value(asked.function)

    def applied(held: Reference[Batch], argument: Any) -> Any:
        batch = memory.value(held)
        tensors = {**batch.feed, **tensors_at(memory, asked.stage, held)}
        return function(tensors, batch, argument)

    return [[applied(*each) for each in of_shard] for of_shard in asked.shards]


def _part_behind(model: Runnable, known: BatchTensors, names: Sequence[str]) -> Network | None:
    """The part that computes those of some tensors that are not known at a cut; None for none."""
    missing = [name for name in names if name not in known[0]]
    if not missing:
        return None
    part = bridge(model, specs_of(known, list(known[0])), missing)
    if part is None:
        raise ModelError(f"{missing[0]!r} cannot be computed by itself.")
    return part


def _label(layer: Layer) -> str:
    return f"the layer of {layer.weight!r}"
