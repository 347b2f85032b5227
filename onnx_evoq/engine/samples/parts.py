"""Which chunks are added to the moments together.

The products of columns take less time for many positions at a time. But what is added together must
be the same wherever it is computed, and workers of a cluster have some of the batches each. So the
batches are divided into *sections*, and chunks of one section only are added together.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from onnx_evoq.quantize import SampleChunk

_SECTIONS = 16  # of all batches, about
_CHUNK_VALUES = 2**22  # values of columns that are added at a time


class OfBatch(NamedTuple):
    """A chunk, the number of its batch, and how many samples that has."""

    chunk: SampleChunk
    number: int
    samples: int


def batches_of_section(batches: int) -> int:
    """How many batches a section has, of so many in all."""
    return -(-batches // _SECTIONS)


def parts_of(chunks: Iterable[OfBatch], *, heldout: bool) -> Iterator[list[SampleChunk]]:
    """The chunks of a section in parts that are added together; each of one kind and use.

    Args:
        chunks: in the order of their batches.
        heldout: whether some batches are held out. Else chunks are halved.
    """
    return _divided(chunks) if heldout else _halved(chunks)


def _divided(chunks: Iterable[OfBatch]) -> Iterator[list[SampleChunk]]:
    """Chunks of one use to add together: of those that only judge, and of the others."""
    together: dict[tuple[bool, int], list[SampleChunk]] = {}
    for chunk, _, _ in chunks:
        parts = together.setdefault((not chunk.heldout, chunk.use), [])
        parts.append(chunk)
        if sum(part.columns.size for part in parts) >= _CHUNK_VALUES:
            together[not chunk.heldout, chunk.use] = []
            yield parts
    yield from (together[kind] for kind in sorted(together) if together[kind])


def _halved(chunks: Iterable[OfBatch]) -> Iterator[list[SampleChunk]]:
    """Chunks of one use to add together: of one half of each batch, and of the other, in turn.

    Moments are kept in two folds, and each gets the samples of one kind. A batch of one sample is
    not divided, since its positions are alike.
    """
    halves: defaultdict[int, tuple[list[SampleChunk], list[SampleChunk]]]
    halves = defaultdict(lambda: ([], []))
    sizes = defaultdict[int, int](int)
    for chunk, number, samples in chunks:
        use, odd = chunk.use, number % 2
        # Of an odd number, one half has one more, and the other in the next batch.
        middle = (chunk.columns.shape[1] + 1 - odd) // 2
        if samples == 1:
            middle = 0 if odd else chunk.columns.shape[1]
        halves[use][0].append(_part(chunk, slice(0, middle)))
        halves[use][1].append(_part(chunk, slice(middle, None)))
        sizes[use] += chunk.columns.size
        if odd and sizes[use] >= 2 * _CHUNK_VALUES:
            yield from _not_empty(halves.pop(use))
            sizes[use] = 0
    for use in sorted(halves):
        yield from _not_empty(halves[use])


def _not_empty(halves: Iterable[list[SampleChunk]]) -> Iterator[list[SampleChunk]]:
    """Those that hold positions: a layer in a branch may run on batches of one half only."""
    yield from (half for half in halves if sum(part.columns.size for part in half))


def _part(chunk: SampleChunk, positions: slice) -> SampleChunk:
    shift = None if chunk.shift is None else chunk.shift[:, positions]
    columns, targets = chunk.columns[:, positions], chunk.targets[:, positions]
    return replace(chunk, columns=columns, targets=targets, shift=shift)
