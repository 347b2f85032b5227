"""Gather the columns that a layer multiplies, and the targets of its output, over all batches.

The columns come from the model with the weights before the layer quantized, the targets from the
float model. If the layer's output is one branch of a residual sum, the target is the float model's
sum minus the quantized model's other branch.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float32Array
from onnx_evoq.batch import Batch
from onnx_evoq.model import Layer
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


class TensorSource(Protocol):
    """Gives the tensors at a layer, batch by batch; from several threads at a time."""

    def of(self, index: int) -> Arrays:
        """The tensors of a batch, by name."""
        ...


@dataclass(frozen=True, eq=False)
class AtLayer:
    """Where the columns and the targets of a layer come from.

    Attributes:
        layer: the layer.
        shape: (groups, rows, columns) of its matrix.
        inputs: the tensors of the model with the weights before the layer quantized: the layer's
            input, and the other branch of a sum.
        outputs: the tensors of the float model: the layer's output, and the sum.
        batches: the samples; those of both sources, in their order.
        heldout: the numbers of those batches that only judge what the others give.
    """

    layer: Layer
    shape: tuple[int, int, int]
    inputs: TensorSource
    outputs: TensorSource
    batches: Sequence[Batch]
    heldout: Collection[int] = ()


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


def entries_per_sample(values: Array, batch: Batch) -> float:
    """How many entries a tensor has for each sample; several if a sample is a whole feed.

    Args:
        values: a tensor of the batch, (entries, ...).
        batch: the samples.
    """
    return max(1.0, len(values) / batch.size)


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
        The columns and targets. None if a tensor does not hold one entry per sample along its first
        axis, or is not finite, or if the output has no positions.

    Raises:
        ModelError: a tensor is no array.
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    layer, width = source.layer, source.shape[2]
    at_most = positions_for(positions, source.shape, min(kept, _KEPT_VALUES))
    at_first = source.inputs.of(0), source.outputs.of(0)
    residual = _is_residual(layer, *at_first)
    if not _has_samples(layer, *at_first):
        return None
    entries = entries_per_sample(at_first[0][layer.input], source.batches[0])
    judges, samples = (
        entries * sum(b.count for i, b in enumerate(source.batches) if (i in source.heldout) is own)
        for own in (True, False)
    )
    per_sample = at_most / samples
    keeps_judges = width > MANY_COLUMNS
    judged = max(_LEAST_POSITIONS, 0 if keeps_judges else _JUDGED_PER_COLUMN * width)
    per_judge = min(per_sample, judged / max(judges, 1))
    # The activation behind a sum reads the sum, which is the target of a residual branch only.
    sees_activation = layer.sum is None or residual
    taken = int(samples) * _positions_of(layer, at_first[1], per_sample)[1]
    gathered = LayerSamples(
        layer.bias is not None,
        layer.activation if sees_activation else None,
        few=not moments and in_space_of_positions(taken, width),
        heldout=bool(source.heldout),
        keeps_judges=keeps_judges,
    )

    def work(item: tuple[int, int]) -> tuple[SampleChunk, Arrays, Arrays]:
        index, seed = item
        tensors, targets = source.inputs.of(index), source.outputs.of(index)
        heldout = index in source.heldout
        wanted = per_judge if heldout else per_sample
        chunk = _chunk(layer, tensors, targets, residual, source.batches[index], seed, wanted)
        return replace(chunk, heldout=heldout), tensors, targets

    seeds = rng.integers(2**63, size=len(source.batches)).tolist()
    done = in_order(work, enumerate(seeds), workers)
    with np.errstate(over="ignore", invalid="ignore"):
        chunks = _kept(done, keep)
        for parts in _divided(chunks) if source.heldout else _halved(chunks):
            gathered.add(*parts)
        return gathered if gathered.finite else None


def _kept(
    done: Iterator[tuple[SampleChunk, Arrays, Arrays]], keep: Callable[[Arrays, Arrays], None]
) -> Iterator[SampleChunk]:
    """The chunks alone; the tensors go to `keep`."""
    for chunk, tensors, targets in done:
        keep(tensors, targets)
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


def _chunk(
    layer: Layer,
    tensors: Arrays,
    targets: Arrays,
    residual: bool,
    batch: Batch,
    seed: int,
    positions: float,
) -> SampleChunk:
    """The columns and targets of one batch.

    Args:
        layer: the layer.
        tensors: of the quantized model.
        targets: of the float model.
        residual: whether the target is a residual sum.
        batch: the samples.
        seed: of the positions.
        positions: about how many per sample, at least one.
    """
    values = tensors[layer.input]
    target, shift = _target(layer, tensors, targets, residual)
    everywhere, count = _positions_of(layer, targets, positions)
    rng = np.random.default_rng(seed)
    at = np.sort(rng.choice(everywhere, count, replace=False, shuffle=False))
    real = slice(batch.count if len(values) == batch.size else len(values))
    return SampleChunk(
        layer.linear.columns(values[real], at, target.shape),
        layer.linear.outputs(target[real], at),
        None if shift is None else layer.linear.outputs(shift[real], at),
    )


def _positions_of(layer: Layer, targets: Arrays, wanted: float) -> tuple[int, int]:
    """The positions of each sample, and how many of them are taken: about `wanted`, at least 1."""
    everywhere = layer.linear.positions(targets[layer.output].shape)
    return everywhere, int(np.clip(round(wanted), 1, everywhere))


def _has_samples(layer: Layer, tensors: Arrays, targets: Arrays) -> bool:
    """Whether input and output have an entry for each sample, and some positions in each."""
    values, output = tensors[layer.input], targets[layer.output]
    if not layer.linear.has_samples(values.shape) or len(values) != len(output):
        return False
    return layer.linear.positions(output.shape) > 0


def _is_residual(layer: Layer, tensors: Arrays, targets: Arrays) -> bool:
    """Whether the output is a branch of a sum of its own shape, and nothing is broadcast."""
    if layer.sum is None:
        return False
    assert layer.other is not None  # as a sum has two branches
    shapes = {tensors[layer.other].shape, targets[layer.output].shape, targets[layer.sum].shape}
    return len(shapes) == 1


def _target(
    layer: Layer, tensors: Arrays, targets: Arrays, residual: bool
) -> tuple[Float32Array, Array | None]:
    """The target of the layer's output, and the other branch that is added to it, or None."""
    if not residual:
        return np.asarray(targets[layer.output], np.float32), None
    assert layer.sum is not None
    assert layer.other is not None
    other = np.asarray(tensors[layer.other], np.float32)
    with np.errstate(invalid="ignore"):  # masks of infinity
        return np.asarray(targets[layer.sum], np.float32) - other, other
