"""Columns and targets of a layer that are gathered by the workers which have the samples.

1. Each worker gathers the chunks of its sections, and answers with the means that are subtracted
   from the columns. The first ones are everybody's.
2. It answers with the sums of products of each part. They are added up here in the order of the
   sections, as `gather_samples` adds them.
3. Where an activation hides errors, it keeps the columns, and answers with sums for other targets.
4. Samples that judge by themselves stay with it, and it answers with their losses.

So columns leave a worker only at layers with no more positions than columns. There the matrix X of
the columns stands for their moments, X^T X, and takes less room.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.engine.cuts import Shards
from onnx_evoq.engine.frontier.columns_there import (
    Asked,
    OneBatch,
    gathered,
    heldout_losses,
    other_targets,
    products,
)
from onnx_evoq.engine.frontier.on_workers import Stages
from onnx_evoq.engine.samples import (
    KEPT_VALUES,
    POSITIONS,
    Around,
    AtLayer,
    Gathering,
    OfBatch,
    parts_of,
    plan_gathering,
)
from onnx_evoq.executors import Reference
from onnx_evoq.quantize import HeldoutLosses, LayerSamples, TargetsBehind, TargetSums

_ON_THE_WAY = 2**28  # bytes of products that are asked for at a time


def gather_on_workers(
    sources: Sequence[AtLayer],
    around: Around,
    stages: tuple[Stages, Stages],
    shards: Shards,
    rng: np.random.Generator,
    positions: int = POSITIONS,
    *,
    moments: bool = True,
    kept: int = KEPT_VALUES,
) -> LayerSamples | None:
    """Gather columns and targets as `gather_samples` does, on the workers that have the samples.

    Args:
        sources: the layers with the weight.
        around: what is seen of the tensors around them.
        stages: at which these are in the quantized model and in the float model, of each batch.
        shards: which worker has which batches.
        rng: draws positions.
        positions: the most positions of all samples together.
        moments: whether second moments are needed even if there are few positions.
        kept: the most values of columns and targets that are kept.

    Returns:
        As for `gather_samples`.

    Raises:
        ModelError: a tensor is no array.
        StorageError: a disk has no room for activations that do not fit into memory.
    """
    gathering = plan_gathering(sources, around, positions, kept, moments=moments)
    if gathering is None:
        return None
    seeds = rng.integers(2**63, size=len(around.batches)).tolist()
    layer = _Layer(gathering, around, stages, seeds, shards)
    with np.errstate(over="ignore", invalid="ignore"):
        found = layer.samples()
        return found if found.count and found.finite else None


class _Layer:
    """Gathers the columns and targets of a layer; the arguments are those of the function above."""

    def __init__(
        self,
        gathering: Gathering,
        around: Around,
        stages: tuple[Stages, Stages],
        seeds: Sequence[int],
        shards: Shards,
    ) -> None:
        self._gathering, self._shards = gathering, shards
        self._name = uuid4().hex
        self._held = shards.executor.hold(gathering)
        self._batches = [
            OneBatch(k, shards.batches[k], (stages[0][k], stages[1][k]), seed, k in around.heldout)
            for k, seed in enumerate(seeds)
        ]
        groups, rows, width = gathering.uses[0].source.shape
        self._bytes = groups * width * (2 * width + 4 * rows)  # of the products of a part
        self._origins: dict[int, tuple[Float32Array, Float32Array]] = {}

    def samples(self) -> LayerSamples:
        """Columns and targets, or their moments."""
        gathering = self._gathering
        samples = gathering.samples(self)
        chunks = list[OfBatch]()
        for found in self._map(gathered):
            chunks += found.chunks
            for positions, finite in found.judges:
                samples.add_judges(positions, finite=finite)
            for use, origins in found.origins.items():
                self._origins.setdefault(use, origins)
        for parts in parts_of(chunks, heldout=gathering.heldout):
            samples.add(*parts)
        for use, origins in self._origins.items():
            samples.sums.start_at(*origins, use)
        if not gathering.few:
            for section in self._map(products, self._bytes):
                for each in section:
                    sums = replace(each.sums, xx=np.asarray(each.products.matrices(), np.float32))
                    samples.add_sums(sums, heldout=each.heldout, use=each.use)
        return samples

    def target_sums(self, behind: TargetsBehind) -> Iterator[TargetSums]:
        """The sums of all parts with other targets."""
        held = self._shards.executor.hold(behind)
        for section in self._map(other_targets, self._bytes, behind=held):
            yield from section

    def heldout_losses(self, losses: HeldoutLosses) -> Iterator[Float64Array]:
        """The losses on each part that judges by itself."""
        held = self._shards.executor.hold(losses)
        for section in self._map(heldout_losses, losses=held):
            yield from section

    def _map(
        self,
        function: Any,
        size: int = 0,
        *,
        behind: Reference[TargetsBehind] | None = None,
        losses: Reference[HeldoutLosses] | None = None,
    ) -> Iterator[Any]:
        """What workers answer for each section, in their order.

        Args:
            function: is done by the workers.
            size: bytes of an answer for a section.
            behind: gives other targets.
            losses: those that are asked for.
        """

        def asked(sections: Sequence[range]) -> Asked:
            batches = tuple(tuple(self._batches[k] for k in section) for section in sections)
            return Asked(self._name, self._held, batches, self._origins, behind, losses)

        at_once = max(1, _ON_THE_WAY // max(1, size))
        return self._shards.map(function, asked, range(len(self._batches)), at_once)
