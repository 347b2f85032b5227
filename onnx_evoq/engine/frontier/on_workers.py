"""The frontier of a model whose samples are with the workers of a cluster.

It lies where `Frontier` would lie in this process, since the numbers behind it depend on where a
model is cut. Of tensors, only their types and shapes come here.

Samples that come in later go from the model's inputs to the frontier in one part. So there is a
*chain* of stages for those of each time.
"""

from collections.abc import Sequence
from typing import cast
from uuid import uuid4

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts import (
    BatchTensors,
    HeldNetwork,
    Shards,
    Stage,
    hold_network,
    look,
)
from onnx_evoq.engine.frontier.frontier import Keeping, part_behind, with_frontier
from onnx_evoq.executors import Reference
from onnx_evoq.model import Network
from onnx_evoq.setup import Resources, on_a_worker

_SHARE = 0.25  # of a worker's memory, for the tensors of one model

Stages = Sequence[Reference[Stage] | None]  # of each batch; None at the model's inputs


class SentFrontier:
    """The tensors that a model needs to go on from a weight, which are with the workers.

    Attributes:
        count: how many batches have come so far.

    Args:
        batches: the samples.
        resources: what the runs may use.
        limit: as for `Frontier`.
        count: with how many batches to begin, at least one.
        shards: which worker has which batches.
    """

    def __init__(
        self, batches: Sequence[Batch], resources: Resources, limit: int, count: int, shards: Shards
    ) -> None:
        self._batches, self._shards = batches, shards
        self._resources = on_a_worker(resources)
        self.count = count
        self._keeping = Keeping(limit)
        self._names: tuple[str, ...] = ()
        self._name = uuid4().hex
        self._chains = [0] * count  # of each batch
        self._stages: list[Reference[Stage] | None] = [None] * count
        self._seen: list[Arrays] = [{} for _ in range(count)]

    def ahead(self, network: Network, weights: Sequence[str], wanted: Sequence[str]) -> "SentAhead":
        """Let the workers compute some tensors, and the frontier before some weights.

        The arguments, and what is raised, are those of `Frontier.ahead`.
        """
        return with_frontier(
            network, weights, lambda names: SentAhead(self, network, names, wanted)
        )

    def grow(self, network: Network, count: int) -> None:
        """Bring more batches to the kept frontier, as `Frontier.grow` does."""
        new = range(self.count, count)
        self._chains += [self._chains[-1] + 1] * len(new)
        stages: Stages = [None] * len(new)
        seen: list[Arrays] = [{} for _ in new]
        if self._names:
            part = part_behind(network, self._batches, self.known, (), self._names)
            stages, seen = self.look(part, self._names, new, [None] * len(new))
        self._stages += stages
        self._seen += seen
        self.count = count

    @property
    def known(self) -> BatchTensors:
        """For each batch, the model's inputs and what is seen of the kept frontier."""
        return BatchTensors(self._batches[: self.count], self._seen)

    def fits(self, first: Sequence[Array]) -> bool:
        """Whether a frontier is to be kept, by what is seen of it in the first batch."""
        return self._keeping.fits(first, self._batches[: self.count])

    def beyond(
        self, network: Network, missing: Sequence[str], keeps: Sequence[str]
    ) -> tuple[Stages, list[Arrays]]:
        """Stages at which tensors are known besides, and what is seen there, for each batch.

        Args:
            network: the model with its present values.
            missing: the tensors to compute; there may be none.
            keeps: all that are known then.
        """
        if not missing:
            return self._stages, self._seen
        part = part_behind(network, self._batches, self.known, self._names, missing)
        return self.look(part, keeps, range(self.count), self._stages)

    def look(
        self, part: Network, keeps: Sequence[str], batches: range, before: Stages
    ) -> tuple[Stages, list[Arrays]]:
        """Let the workers go from stages to the next ones; what is seen there, for each batch.

        Args:
            part: computes the tensors.
            keeps: the tensors that are known then, besides the model's inputs.
            batches: the numbers of the samples.
            before: the stage of each of them.
        """
        executor = self._shards.executor
        held = hold_network(executor, part)
        stages = [
            self._stage(self._chains[k], last, held, keeps)
            for k, last in zip(batches, before, strict=True)
        ]
        return stages, cast(list[Arrays], look(self._shards, stages, batches))

    def _stage(
        self, chain: int, before: Reference[Stage] | None, part: HeldNetwork, keeps: Sequence[str]
    ) -> Reference[Stage]:
        names = tuple(name for name in keeps if name not in self._batches[0].feed)
        label = "a part of the model before a layer"
        return self._shards.executor.hold(
            Stage(self._name, before, part, label, self._resources, _SHARE, chain, names)
        )

    def advance(
        self, names: tuple[str, ...], stages: Stages | None, seen: Sequence[Arrays]
    ) -> None:
        """Take the next frontier in place of the kept one; None leaves that where it is."""
        self._keeping.advance(kept=stages is not None)
        if stages is not None:
            self._names = names
            self._stages = list(stages) if names else [None] * self.count
            self._seen = [{name: each[name] for name in names if name in each} for each in seen]


class SentAhead:
    """The tensors at a layer and the next frontier, which are with the workers.

    Attributes:
        first: what is seen of the tensors of the first batch.
        stages: at which they are, of each batch.

    Args:
        frontier: where to start.
        network: the model with its present values.
        names: the tensors of the next frontier; None if it is not to be kept.
        wanted: the tensors to compute besides.

    Raises:
        ModelError: a tensor cannot be computed, or is no array.
    """

    def __init__(
        self,
        frontier: SentFrontier,
        network: Network,
        names: tuple[str, ...] | None,
        wanted: Sequence[str],
    ) -> None:
        self._frontier, self._names = frontier, names
        all_of_them = sorted({*wanted, *(names or ())})
        known = frontier.known
        missing = [name for name in all_of_them if name not in known[0]]
        self.stages, seen = frontier.beyond(network, missing, all_of_them)
        self._seen = list(seen)
        self._feeds = known
        self.first = self.of(0)
        self._keeps = names is not None and frontier.fits([self.first[name] for name in names])

    def of(self, index: int) -> Arrays:
        """What is seen of the tensors of a batch, and the model's inputs."""
        return {**self._feeds[index], **self._seen[index]}

    def keep(self, tensors: Arrays) -> None:
        """Nothing is to be kept here."""

    def done(self) -> None:
        """Go on from the next frontier."""
        stages = self.stages if self._keeps else None
        self._frontier.advance(self._names or (), stages, self._seen)
