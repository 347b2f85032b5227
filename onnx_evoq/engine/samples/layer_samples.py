"""Gather a layer's columns and targets (`at_layer`) over all batches."""

from collections.abc import Callable, Iterator

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.samples.at_layer import (
    AtLayer,
    chunk_of,
    entries_of,
    has_positions,
    is_residual,
    positions_of,
    shape_at,
)
from onnx_evoq.parallel import in_order
from onnx_evoq.quantize import (
    FULL,
    MANY_COLUMNS,
    LayerSamples,
    SampleChunk,
    in_space_of_positions,
)

POSITIONS = FULL.positions  # of all samples together, at most, that moments are gathered from
_MOMENT_PRODUCTS = 2e11  # the most products per matrix, which wide layers pay with fewer positions
_KEPT_VALUES = 2**26  # the most values of columns and targets that are kept
_LEAST_POSITIONS, _POSITIONS_PER_COLUMN = 4_096, 64  # enough for few columns
_JUDGED_PER_COLUMN = 16  # positions for each column that choose a damping
_CHUNK_VALUES = 2**22  # values of columns that are added at a time


def positions_for(positions: int, shape: tuple[int, int, int], kept: int = _KEPT_VALUES) -> float:
    """How many positions of all samples a layer's moments are gathered from, at most.

    Few columns need fewer positions, and wide layers and those of many groups get fewer, to save
    time and memory.

    Args:
        positions: how many are wanted for a usual layer.
        shape: (groups, rows, columns) of the layer's matrix.
        kept: the most values of columns and targets that are kept.
    """
    groups, rows, width = shape
    enough = max(_LEAST_POSITIONS, _POSITIONS_PER_COLUMN * width)
    most = min(_MOMENT_PRODUCTS / width**2, kept / (groups * (width + 2 * rows)))
    return min(positions, enough, most)


def ignore(inputs: Arrays, outputs: Arrays) -> None:
    """The `keep` of a caller that keeps no tensors."""


def gather_samples(
    source: AtLayer,
    rng: np.random.Generator,
    positions: int = POSITIONS,
    workers: int = 1,
    *,
    moments: bool = True,
    kept: int = _KEPT_VALUES,
    keep: Callable[[Arrays, Arrays], None] = ignore,
) -> LayerSamples | None:
    """Gather a layer's columns and targets at positions drawn at random.

    A layer in a body may run on some of the samples only. The others are left out, and so are those
    on which the two models go other ways.

    Args:
        source: the layer, and the tensors around it.
        rng: draws positions, the same for all samples of a batch.
        positions: the most positions of all samples together.
        workers: batches that are worked on at a time, at most; it does not change the result.
        moments: whether second moments are needed even if there are few positions.
        kept: the most values of columns and targets that are kept.
        keep: is given the tensors of each batch, those of the quantized model and of the float
            model, in the batches' order.

    Returns:
        The columns and targets. None if a tensor does not have the axes of the layer, or is not
        finite, or if the output has no positions on any sample.

    Raises:
        ModelError: a tensor is no array.
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    layer, width = source.layer, source.shape[2]
    at_most = positions_for(positions, source.shape, min(kept, _KEPT_VALUES))
    both = ((source.inputs.of(k), source.outputs.of(k)) for k in range(len(source.batches)))
    first = next(((k, each) for k, each in enumerate(both) if has_positions(source, *each)), None)
    if first is None:
        return None
    index_of_first, at_first = first
    residual = is_residual(source, *at_first)
    # The input values of all samples of both kinds: a sample counts by its length.
    values = [batch.length * batch.count for batch in source.batches]
    judges = sum(n for index, n in enumerate(values) if index in source.heldout)
    fitted = sum(values) - judges
    keeps_judges = width > MANY_COLUMNS
    judged = max(_LEAST_POSITIONS, 0 if keeps_judges else _JUDGED_PER_COLUMN * width)

    def wanted(batch: Batch, targets: Arrays, *, judging: bool) -> float:
        """How many positions of each entry of a batch are taken."""
        entries = entries_of(layer, shape_at(source, targets), batch)
        most = at_most * batch.length / (fitted * entries)
        if judging:
            most = min(most, judged * batch.length / (judges * entries))
        return most

    batch, targets = source.batches[index_of_first], at_first[1]
    entries = entries_of(layer, shape_at(source, targets), batch) * fitted / batch.length
    of_each = positions_of(source, targets, wanted(batch, targets, judging=False))[1]
    # The activation behind a sum reads the sum, which is the target of a residual branch only.
    sees_activation = layer.other is None or residual
    gathered = LayerSamples(
        layer.bias is not None,
        layer.activation if sees_activation else None,
        few=not moments and in_space_of_positions(round(entries) * of_each, width),
        heldout=bool(source.heldout),
        keeps_judges=keeps_judges,
    )

    def work(item: tuple[int, int]) -> tuple[SampleChunk | None, Arrays, Arrays]:
        index, seed = item
        tensors, targets = source.inputs.of(index), source.outputs.of(index)
        if not has_positions(source, tensors, targets):
            return None, tensors, targets
        most = wanted(source.batches[index], targets, judging=index in source.heldout)
        chunk = chunk_of(source, index, tensors, targets, seed, most, residual=residual)
        return chunk, tensors, targets

    seeds = rng.integers(2**63, size=len(source.batches)).tolist()
    done = in_order(work, enumerate(seeds), workers)
    with np.errstate(over="ignore", invalid="ignore"):
        chunks = _kept(done, keep)
        for parts in _divided(chunks) if source.heldout else _halved(chunks):
            gathered.add(*parts)
        return gathered if gathered.count and gathered.finite else None


def _kept(
    done: Iterator[tuple[SampleChunk | None, Arrays, Arrays]],
    keep: Callable[[Arrays, Arrays], None],
) -> Iterator[SampleChunk]:
    """The chunks alone; the tensors go to `keep`."""
    for chunk, tensors, targets in done:
        keep(tensors, targets)
        if chunk is not None:
            yield chunk


def _divided(chunks: Iterator[SampleChunk]) -> Iterator[list[SampleChunk]]:
    """Chunks to add together: of those that only judge, and of the others."""
    together: dict[bool, list[SampleChunk]] = {True: [], False: []}
    for chunk in chunks:
        parts = together[chunk.heldout]
        parts.append(chunk)
        if sum(part.columns.size for part in parts) >= _CHUNK_VALUES:
            together[chunk.heldout] = []
            yield parts
    yield from (parts for parts in together.values() if parts)


def _halved(chunks: Iterator[SampleChunk]) -> Iterator[list[SampleChunk]]:
    """Chunks to add together: of the first half of each batch, and of the second half, in turn.

    Moments are kept in two folds, and each gets the samples of one kind.
    """
    halves: tuple[list[SampleChunk], list[SampleChunk]] = ([], [])
    size = 0
    for index, chunk in enumerate(chunks):
        # Of an odd number, one half has one more, and the other in the next batch.
        middle = (chunk.columns.shape[1] + 1 - index % 2) // 2
        halves[0].append(_part(chunk, slice(0, middle)))
        halves[1].append(_part(chunk, slice(middle, None)))
        size += chunk.columns.size
        if index % 2 and size >= 2 * _CHUNK_VALUES:
            yield from halves
            halves, size = ([], []), 0
    yield from (half for half in halves if sum(part.columns.size for part in half))


def _part(chunk: SampleChunk, positions: slice) -> SampleChunk:
    return SampleChunk(
        chunk.columns[:, positions],
        chunk.targets[:, positions],
        None if chunk.shift is None else chunk.shift[:, positions],
    )
