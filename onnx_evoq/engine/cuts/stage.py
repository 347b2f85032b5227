"""The activations at a cut through a model, on a worker, for the samples that are with it.

A *stage* is a cut that a walk through the model came to. It knows the stage before, and the part of
the model between them. A worker keeps the activations at the last two stages of a walk, so that the
next ones are computed from them. A worker that has none, since it came late or lost its state, goes
through the same parts from the model's inputs: the last bits of ONNX Runtime's results depend on
where a graph is cut.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts.batch_tensors import run_on
from onnx_evoq.engine.cuts.held_network import HeldNetwork
from onnx_evoq.executors import Memory, Reference
from onnx_evoq.score import Session, TensorStore
from onnx_evoq.setup import Resources, cache_memory, open_session

_WALKS = 3  # of which a worker keeps activations
_STAGES = 2  # of a walk: the last one, and the one that is computed from it
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
    """

    walk: str
    before: "Reference[Stage] | None"
    part: HeldNetwork
    label: str
    resources: Resources
    share: float


@dataclass(frozen=True)
class Seen:
    """What is said of a tensor in place of its values.

    Attributes:
        dtype: its type.
        shape: its shape.
    """

    dtype: np.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SomeBatches:
    """Asks for the tensors at a stage of some batches."""

    stage: Reference[Stage]
    batches: tuple[Reference[Batch], ...]


def seen_at(memory: Memory, asked: SomeBatches) -> list[dict[str, Seen]]:
    """Compute the tensors that cross a cut, and keep them here; the answer only describes them.

    Args:
        memory: of the worker.
        asked: the stage and the batches.

    Raises:
        ModelError: the part cannot be run, or a tensor is no array.
    """
    found = []
    for batch in asked.batches:
        tensors = tensors_at(memory, asked.stage, batch)
        found.append({name: Seen(t.dtype, t.shape) for name, t in tensors.items()})
    return found


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
            tensors = run_on(_session(memory, each), {**feed, **tensors})
        kept.add(batch.key, tensors)
    return kept.tensors(batch.key)


class _Kept:
    """The tensors at a stage, for the batches that came so far."""

    def __init__(self, limit: int) -> None:
        self._store = TensorStore(limit)
        self.places: dict[str, int] = {}

    def add(self, batch: str, tensors: Arrays) -> None:
        self._store.append(tensors)
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
            while len(self._kept) >= _STAGES:
                self._kept.popitem(last=False)
            allowed = cache_memory(value.resources)
            if value.resources.memory is None:
                allowed = memory.share(allowed)
            # Half is for this stage, and half for the next one.
            self._kept[stage.key] = _Kept(int(allowed * value.share) // 2)
        self._kept.move_to_end(stage.key)
        return self._kept[stage.key]

    def has(self, stage: Reference[Stage], batch: Reference[Batch]) -> bool:
        """Whether the tensors at a stage are kept for a batch."""
        return stage.key in self._kept and batch.key in self._kept[stage.key].places

    def tensors(self, stage: Reference[Stage], batch: Reference[Batch]) -> Arrays:
        """The tensors that `has` says are kept."""
        return self._kept[stage.key].tensors(batch.key)


def _session(memory: Memory, stage: Reference[Stage]) -> Session:
    """The session of the part before a stage."""

    def opened() -> Session:
        value = memory.value(stage)
        return open_session(value.part.network(memory), value.resources, value.label)

    return memory.made("session of a part", stage.key, opened, _SESSIONS)
