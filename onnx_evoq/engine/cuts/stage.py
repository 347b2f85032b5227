"""The activations at a cut through a model, on a worker, for the samples that are with it.

A *stage* is a cut that a walk through the model came to. It knows the stage before, and the part of
the model between them. A worker keeps the activations at the last two stages of a walk, so that the
next ones are computed from them. A worker that has none, since it came late or lost its state, goes
through the same parts from the model's inputs: the last bits of ONNX Runtime's results depend on
where a graph is cut.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts.batch_tensors import run_on
from onnx_evoq.engine.cuts.held_network import HeldNetwork
from onnx_evoq.engine.cuts.shards import Shards
from onnx_evoq.executors import Memory, Reference
from onnx_evoq.score import Session, TensorStore
from onnx_evoq.setup import Resources, cache_memory, open_session

_WALKS = 4  # of which a worker keeps activations
_STAGES = 2  # of a chain of a walk: the last one, and the one that is computed from it
_SESSIONS = 64  # of parts between stages


@dataclass(frozen=True, eq=False)
class Stage:
    """A cut that a walk through a model came to.

    Attributes:
        walk: names the walk.
        before: the stage that it is computed from; None for the model's inputs.
        part: computes the tensors that cross the cut.
        label: names the part in messages.
        resources: what the runs may use.
        share: of the memory for activations, which those of this stage may use.
        chain: samples that begin a walk at different times have stages of their own.
        keeps: the tensors that are kept of all that is known then; None for those of the part.
    """

    walk: str
    before: "Reference[Stage] | None"
    part: HeldNetwork
    label: str
    resources: Resources
    share: float
    chain: int = 0
    keeps: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Seen:
    """What is said of a tensor in place of its values.

    Attributes:
        dtype: its type.
        shape: its shape.
    """

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of its entries."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of its entries."""
        return self.size * self.dtype.itemsize


Place = tuple[Reference[Stage] | None, Reference[Batch]]  # a stage, and some samples


def look(
    shards: Shards, stages: Sequence[Reference[Stage] | None], batches: range
) -> list[dict[str, Seen]]:
    """Let workers compute tensors, and keep them there; what is said of those of each batch.

    Args:
        shards: which worker has which batches.
        stages: at which the tensors are, of each batch.
        batches: the indices of the batches.

    Raises:
        ModelError: the part cannot be run, or a tensor is no array.
        StorageError: a disk has no room for tensors that do not fit into memory.
    """

    def asked(some: Sequence[range]) -> list[list[Place]]:
        return [[(stages[k - batches.start], shards.batches[k]) for k in each] for each in some]

    return [each for found in shards.map(_seen, asked, batches) for each in found]


def _seen(memory: Memory, asked: Sequence[Sequence[Place]]) -> list[list[dict[str, Seen]]]:
    return [[_described(tensors_at(memory, *place)) for place in places] for places in asked]


def _described(tensors: Arrays) -> dict[str, Seen]:
    return {name: Seen(tensor.dtype, tensor.shape) for name, tensor in tensors.items()}


def tensors_at(memory: Memory, stage: Reference[Stage] | None, batch: Reference[Batch]) -> Arrays:
    """The tensors that cross the cut of a stage, for a batch: kept here, or computed.

    Args:
        memory: of the worker.
        stage: None for the model's inputs, where nothing crosses.
        batch: the samples.
    """
    if stage is None:
        return {}
    value = memory.value(stage)
    walk = memory.made("activations of a walk", value.walk, _Walk, _WALKS)
    kept = walk.at(stage, value, memory)
    if batch.key not in kept.places:
        # The stages from the last one whose tensors are kept to this one.
        chain, last = [stage], value.before
        while last is not None and not walk.has(last, batch):
            chain.append(last)
            last = memory.value(last).before
        feed = memory.value(batch).feed
        tensors: Arrays = {} if last is None else walk.tensors(last, batch)
        for each in reversed(chain):
            known = {**feed, **tensors}
            tensors, keeps = run_on(_session(memory, each), known), memory.value(each).keeps
            if keeps is not None:
                known |= tensors
                tensors = {name: known[name] for name in keeps}
        kept.add(batch.key, tensors)
    return kept.tensors(batch.key)


class _Kept:
    """The tensors at a stage, for the batches that came so far."""

    def __init__(self, limit: int, chain: int) -> None:
        self._store = TensorStore(limit)
        self.chain = chain
        self.used = 0  # bytes
        self.places: dict[str, int] = {}

    def add(self, batch: str, tensors: Arrays) -> None:
        self._store.append(tensors)
        self.used += sum(tensor.nbytes for tensor in tensors.values())
        self.places[batch] = len(self._store) - 1

    def tensors(self, batch: str) -> Arrays:
        return self._store[self.places[batch]]


class _Walk:
    """The tensors at the last stages of a walk."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def at(self, stage: Reference[Stage], value: Stage, memory: Memory) -> _Kept:
        """Those at a stage, which is now the last one that was asked for."""
        if stage.key not in self._kept:
            before = None if value.before is None else value.before.key
            same = [key for key, kept in self._kept.items() if kept.chain == value.chain]
            old = [key for key in same if key != before]
            for key in old[: max(0, len(same) + 1 - _STAGES)]:
                del self._kept[key]
            allowed = cache_memory(value.resources)
            if value.resources.memory is None:
                allowed = memory.share(allowed)
            allowed = int(allowed * value.share)
            used = sum(kept.used for kept in self._kept.values())
            # Half is for this stage, and half for the next one.
            limit = max(0, min(allowed // 2, allowed - used))
            self._kept[stage.key] = _Kept(limit, value.chain)
        self._kept.move_to_end(stage.key)
        return self._kept[stage.key]

    def has(self, stage: Reference[Stage], batch: Reference[Batch]) -> bool:
        """Whether the tensors at a stage are kept for a batch."""
        return stage.key in self._kept and batch.key in self._kept[stage.key].places

    def tensors(self, stage: Reference[Stage], batch: Reference[Batch]) -> Arrays:
        """The tensors that `has` says are kept."""
        return self._kept[stage.key].tensors(batch.key)


def _session(memory: Memory, stage: Reference[Stage]) -> Session:
    """The session of the part before a stage; some stages have the same one."""
    value = memory.value(stage)
    keys = value.part.model.key, *(each.key for each in value.part.values.values())
    resources = value.resources  # of the command that asks; a worker may serve several
    opened_with = *(resources.providers or ()), *map(str, resources.custom_ops)
    part = keys, opened_with

    def opened() -> Session:
        return open_session(value.part.network(memory), value.resources, value.label)

    return memory.made("session of a part", part, opened, _SESSIONS)
