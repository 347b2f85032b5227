"""What a worker does with the columns and targets of a layer, of the samples that are with it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_evoq.array_types import Arrays, Float32Array, Float64Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine.cuts import Stage, tensors_at
from onnx_evoq.engine.samples import Gathering, OfBatch, parts_of
from onnx_evoq.executors import Memory, Reference
from onnx_evoq.quantize import (
    ChunkSums,
    HeldoutLosses,
    SampleChunk,
    SentSymmetric,
    TargetsBehind,
    TargetSums,
    chunk_sums,
    first_origins,
    joined,
)

_LAYERS = 4  # of which a worker keeps columns: of one, and of those of other runs at that time

Origins = Mapping[int, tuple[Float32Array, Float32Array]]  # of columns and targets, by use


@dataclass(frozen=True, eq=False)
class OneBatch:
    """Samples of a layer.

    Attributes:
        number: of the batch.
        batch: the samples.
        stages: at which the tensors of the quantized model and of the float model are.
        seed: of the positions.
        heldout: whether the batch only judges.
    """

    number: int
    batch: Reference[Batch]
    stages: tuple[Reference[Stage] | None, Reference[Stage] | None]
    seed: int
    heldout: bool


@dataclass(frozen=True, eq=False)
class Asked:
    """Asks for something of some sections of a layer.

    Attributes:
        name: of what is gathered, unlike any other.
        gathering: how columns and targets are gathered.
        sections: the samples.
        origins: what is subtracted; empty as long as it is not known.
        behind: gives other targets; None for the layer's own.
        losses: those that are asked for.
    """

    name: str
    gathering: Reference[Gathering]
    sections: tuple[tuple[OneBatch, ...], ...]
    origins: Origins
    behind: Reference[TargetsBehind] | None = None
    losses: Reference[HeldoutLosses] | None = None


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a worker answers when it has gathered the chunks of a section.

    Attributes:
        chunks: those that are sent as they are, as they take less room than their sums.
        origins: of the first part of each use.
        judges: the positions of each part that judges by itself, and whether its values are finite.
    """

    chunks: Sequence[OfBatch]
    origins: Origins
    judges: Sequence[tuple[int, bool]]


@dataclass(frozen=True, eq=False)
class SentSums:
    """The sums of a part, as they are sent.

    Attributes:
        heldout: whether it only judges.
        use: of the weight.
        sums: all but those of x x^T.
        products: the latter.
    """

    heldout: bool
    use: int
    sums: ChunkSums
    products: SentSymmetric


def gathered(memory: Memory, asked: Asked) -> list[Gathered]:
    """Gather the chunks of some sections."""
    gathering, found = memory.value(asked.gathering), []
    for section in asked.sections:
        few, origins = list[OfBatch](), dict[int, tuple[Float32Array, Float32Array]]()
        if gathering.few:
            chunks = _chunks(memory, gathering, section)
            few = [each for each in chunks if not each.chunk.heldout]
            _keep(memory, asked, section, [each for each in chunks if each.chunk.heldout])
        for part in _fitted(memory, asked, section):
            use = part[0].use
            if use not in origins:
                columns, targets = [e.columns for e in part], [e.targets for e in part]
                centred = gathering.centred[use]
                origins[use] = first_origins(columns, targets, centred=centred)
        judges = _judges(memory, asked, section)
        of_judges = [(part.columns.shape[1], part.finite) for part in judges]
        found.append(Gathered(few, origins, of_judges))
    return found


def products(memory: Memory, asked: Asked) -> list[list[SentSums]]:
    """The sums of the parts of some sections."""
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for section in asked.sections:
            sums = list[SentSums]()
            for part in _centred(memory, asked, section):
                own = _sums(part, asked.origins[part.use][1])
                without = replace(own, xx=np.empty((0, 0, 0), np.float32))
                sums.append(SentSums(part.heldout, part.use, without, SentSymmetric.of(own.xx)))
            found.append(sums)
    return found


def _sums(part: SampleChunk, origin: Float32Array) -> ChunkSums:
    return chunk_sums(part.columns, lambda some: part.targets[:, some], origin)


def other_targets(memory: Memory, asked: Asked) -> list[list[TargetSums]]:
    """The sums of the parts of some sections with other targets."""
    assert asked.behind is not None
    behind = memory.value(asked.behind)
    with np.errstate(over="ignore", invalid="ignore"):
        return [
            [
                behind.sums(part, asked.origins[part.use][1])
                for part in _centred(memory, asked, each)
            ]
            for each in asked.sections
        ]


def heldout_losses(memory: Memory, asked: Asked) -> list[list[Float64Array]]:
    """The losses on each part of some sections that judges by itself."""
    assert asked.losses is not None
    losses = memory.value(asked.losses)
    with np.errstate(over="ignore", invalid="ignore"):
        return [
            [losses.of(part) for part in _judges(memory, asked, each)] for each in asked.sections
        ]


def _chunks(memory: Memory, gathering: Gathering, section: Sequence[OneBatch]) -> list[OfBatch]:
    """The columns and targets of the batches of a section."""
    found = []
    for one in section:
        batch = memory.value(one.batch)
        tensors: list[Arrays] = [
            {**batch.feed, **tensors_at(memory, stage, one.batch)} for stage in one.stages
        ]
        chunks = gathering.chunks(batch, tensors[0], tensors[1], one.seed, heldout=one.heldout)
        found += [OfBatch(chunk, one.number, batch.count) for chunk in chunks]
    return found


def _keep(
    memory: Memory, asked: Asked, section: Sequence[OneBatch], chunks: Sequence[OfBatch]
) -> None:
    """Keep the parts of a section."""
    gathering, number = memory.value(asked.gathering), section[0].number
    fitted, judges = list[list[SampleChunk]](), list[SampleChunk]()
    for part in parts_of(chunks, heldout=gathering.heldout):
        if part[0].heldout and gathering.keeps_judges:
            judges.append(joined(part))
        else:
            fitted.append(part)
    _kept(memory, asked, "fitted")[number] = fitted
    _kept(memory, asked, "judges")[number] = judges


def _fitted(memory: Memory, asked: Asked, section: Sequence[OneBatch]) -> list[list[SampleChunk]]:
    """The parts of a section that are added up, kept here or gathered."""
    kept, number = _kept(memory, asked, "fitted"), section[0].number
    if number not in kept:
        _keep(memory, asked, section, _chunks(memory, memory.value(asked.gathering), section))
    parts: list[list[SampleChunk]] = kept[number]
    return parts


def _judges(memory: Memory, asked: Asked, section: Sequence[OneBatch]) -> list[SampleChunk]:
    """The parts of a section that judge by themselves, kept here or gathered."""
    kept, number = _kept(memory, asked, "judges"), section[0].number
    if number not in kept:
        gathering = memory.value(asked.gathering)
        chunks = _chunks(memory, gathering, [one for one in section if one.heldout])
        judging = parts_of(chunks, heldout=gathering.heldout)
        kept[number] = [joined(part) for part in judging]
    parts: list[SampleChunk] = kept[number]
    return parts


def _centred(memory: Memory, asked: Asked, section: Sequence[OneBatch]) -> list[SampleChunk]:
    """The parts of a section whose sums are asked for, minus the origin of the columns."""
    kept, number = _kept(memory, asked, "centred"), section[0].number
    if number not in kept:
        parts = _fitted(memory, asked, section)
        _kept(memory, asked, "fitted").pop(number, None)  # they take as much memory
        centred = [joined(part, asked.origins[part[0].use][0]) for part in parts]
        if not any(memory.value(asked.gathering).activations):
            return centred  # nobody asks for sums with other targets
        kept[number] = centred
    parts_here: list[SampleChunk] = kept[number]
    return parts_here


def _kept(memory: Memory, asked: Asked, kind: str) -> dict[Hashable, Any]:
    """What is kept of the sections of a layer."""
    of_layer: dict[str, dict[Hashable, Any]]
    of_layer = memory.made("columns of a layer", asked.name, dict, _LAYERS)
    return of_layer.setdefault(kind, {})
