"""A walk through a model from cut to cut, whose activations stay with the workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts.batch_tensors import BatchTensors
from onnx_evoq.engine.cuts.held_network import hold_network
from onnx_evoq.engine.cuts.part_between import part_between, same_prefix
from onnx_evoq.engine.cuts.shards import Shards
from onnx_evoq.engine.cuts.stage import Stage, look
from onnx_evoq.executors import Reference
from onnx_evoq.model import Cut, Network, Runnable
from onnx_evoq.setup import Resources, on_a_worker

_BEHIND = 1  # the chain of the tensors behind cuts; that of those at the cuts is 0


@dataclass(frozen=True, eq=False)
class Crossing:
    """Tensors that are with the workers: those that cross a cut, and perhaps some behind it.

    Attributes:
        stage: whose tensors they are; None at the model's inputs.
        tensors: for each batch, what has the type and the shape of each tensor.
    """

    stage: Reference[Stage] | None
    tensors: Sequence[Arrays]


class CutWalk:
    """Goes from one cut of a model to the next, as `ActivationCache` does in this process.

    Args:
        batches: the samples.
        resources: what the runs may use.
        share: share of the memory of a worker that the activations may use.
        shards: which worker has which batches.

    Attributes:
        shards: as above.
        resources: what a worker may use.
    """

    def __init__(
        self, batches: Sequence[Batch], resources: Resources, share: float, shards: Shards
    ) -> None:
        self._samples, self._share = batches, share
        self.shards = shards
        self.resources = on_a_worker(resources)
        self._name = uuid4().hex
        self._last: tuple[Cut, Crossing] | None = None

    def crossing(self, model: Runnable, cut: Cut) -> Crossing:
        """Let the workers compute the tensors that cross a cut, as `ActivationCache` does here.

        Args:
            model: the model with its present weights.
            cut: a cut through this model.

        Raises:
            ModelError: the part before the cut cannot be run, or a tensor at the cut is no array.
            StorageError: a disk has no room for activations that do not fit into memory.
        """
        if cut.prefix is None:
            return Crossing(None, [{} for _ in self._samples])
        prefix, before = cut.prefix, None
        if self._last is not None:
            last, crossing = self._last
            if same_prefix(cut, last):
                return crossing
            known = BatchTensors(self._samples, crossing.tensors)
            between = part_between(model, last, cut, known)
            if between is not None:
                prefix, before = between, crossing.stage
        self._last = None  # no later cut may start from tensors that cannot be computed
        found = self._computed(prefix, before, f"the model before {cut.label}")
        self._last = cut, found
        return found

    def behind(
        self, crossing: Crossing, part: Network, label: str, keeps: Sequence[str]
    ) -> Crossing:
        """Let the workers compute tensors behind the last cut.

        Args:
            crossing: the tensors at the cut.
            part: computes others from these and from the model's inputs.
            label: names the part in messages.
            keeps: the tensors that are wanted of all that is known then.

        Raises:
            ModelError: as for `crossing`.
            StorageError: as for `crossing`.
        """
        names = tuple(name for name in keeps if name not in self._samples[0].feed)
        return self._computed(part, crossing.stage, label, _BEHIND, names)

    def _computed(
        self,
        part: Network,
        before: Reference[Stage] | None,
        label: str,
        chain: int = 0,
        keeps: tuple[str, ...] | None = None,
    ) -> Crossing:
        executor, count = self.shards.executor, len(self._samples)
        held = hold_network(executor, part)
        stage = executor.hold(
            Stage(self._name, before, held, label, self.resources, self._share, chain, keeps)
        )
        seen = look(self.shards, [stage] * count, range(count))
        return Crossing(stage, cast(Sequence[Arrays], seen))
