"""A walk through a model from cut to cut, whose activations stay with the workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast
from uuid import uuid4

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts.batch_tensors import BatchTensors, specs_of
from onnx_evoq.engine.cuts.held_network import hold_network
from onnx_evoq.engine.cuts.stage import SomeBatches, Stage, seen_at
from onnx_evoq.executors import Executor, Reference, Task
from onnx_evoq.model import Cut, Network, Runnable, bridge, cut_at, same
from onnx_evoq.setup import Resources

_SHARDS = 2  # of the samples, for each worker


@dataclass(frozen=True, eq=False)
class Crossing:
    """The tensors that cross a cut, which are with the workers.

    Attributes:
        stage: whose tensors they are; None at the model's inputs.
        tensors: for each batch, what has the type and the shape of each tensor.
    """

    stage: Reference[Stage] | None
    tensors: Sequence[Arrays]


class CutWalk:
    """Goes from one cut of a model to the next, as `ActivationCache` does in this process.

    The samples are divided into *shards*, of batches that follow each other. The tasks of a shard
    are done by one worker, as far as it has time.

    Args:
        batches: the samples.
        resources: what the runs may use.
        share: share of the memory of a worker that the activations may use.
        executor: knows the workers.

    Attributes:
        batches: the samples, as the executor holds them.
        resources: what a worker may use.
    """

    def __init__(
        self, batches: Sequence[Batch], resources: Resources, share: float, executor: Executor
    ) -> None:
        self._samples, self._share, self._executor = batches, share, executor
        self.resources = replace(resources, cluster=None, workers=1)
        self.batches = [executor.hold(batch) for batch in batches]
        self._shard = max(1, len(batches) // (_SHARDS * executor.workers))
        self._name = uuid4().hex
        self._last: tuple[Cut, Crossing] | None = None

    def home(self, index: int) -> str:
        """The home of the tasks for a batch, that of its shard."""
        return self.batches[index - index % self._shard].key

    def spans(self, first: int, end: int, most: int) -> Iterator[range]:
        """Ranges of batches from `first` up to `end`, each within a shard.

        Args:
            first: the index of the first batch.
            end: one more than the index of the last batch.
            most: batches of a range.
        """
        while first < end:
            last = min(end, first + most, first - first % self._shard + self._shard)
            yield range(first, last)
            first = last

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
            return Crossing(None, [{} for _ in self.batches])
        prefix, before = cut.prefix, None
        if self._last is not None:
            last, crossing = self._last
            if _same(prefix, last.prefix):
                return crossing
            if _same(cut_at(model, *last.dtypes).prefix, last.prefix):
                # Nothing before the last cut has changed: run only what lies between the two cuts.
                known = BatchTensors(self._samples, crossing.tensors)
                between = bridge(model, specs_of(known, last.prefix_outputs), cut.prefix_outputs)
                if between is not None:
                    prefix, before = between, crossing.stage
        stage = self._executor.hold(
            Stage(
                self._name, before, hold_network(self._executor, prefix),
                f"the model before {cut.label}", self.resources, self._share,
            )
        )  # fmt: skip
        spans = list(self.spans(0, len(self.batches), self._shard))
        tasks = (
            Task(SomeBatches(stage, tuple(self.batches[i] for i in span)), self.home(span[0]))
            for span in spans
        )
        seen = [each for some in self._executor.map(seen_at, tasks) for each in some]
        found = Crossing(stage, cast(Sequence[Arrays], seen))
        self._last = cut, found
        return found


def _same(one: Network | None, other: Network | None) -> bool:
    return one is not None and other is not None and same(one, other)
