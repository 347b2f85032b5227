"""Gather a layer's columns and targets (`at_layer`) over all batches."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

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
    Activation,
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


@dataclass(frozen=True, eq=False)
class _Use:
    """A use of the weight, and what is seen of it in the longest samples that have positions.

    Attributes:
        source: the layer, and the tensors around it.
        number: of the use.
        residual: whether the target is a residual sum.
        longest: the batch of these.
        targets: its tensors of the float model.
        positions: of a sample, for each of its input values.
    """

    source: AtLayer
    number: int
    residual: bool
    longest: Batch
    targets: Arrays
    positions: float

    @classmethod
    def of(cls, source: AtLayer, number: int) -> "_Use | None":
        """The use at a layer; None if the output has no positions on any sample."""
        # In short samples, sizes may agree by chance: along an axis of 1 nothing is broadcast.
        for index in sorted(range(len(source.batches)), key=lambda k: -source.batches[k].length):
            batch = source.batches[index]
            tensors, targets = source.inputs.of(index), source.outputs.of(index)
            if has_positions(source, tensors, targets):
                shape = shape_at(source, targets)
                entries = entries_of(source.layer, shape, batch)
                positions = entries * source.layer.linear.positions(shape) / batch.length
                residual = is_residual(source, tensors, targets)
                return cls(source, number, residual, batch, targets, positions)
        return None

    @property
    def activation(self) -> Activation | None:
        """What hides errors: behind a sum, it reads the sum, the target of a residual branch."""
        layer = self.source.layer
        return layer.activation if layer.other is None or self.residual else None

    def entries(self, batch: Batch, targets: Arrays) -> float:
        """The entries of each sample of a batch."""
        return entries_of(self.source.layer, shape_at(self.source, targets), batch)


def gather_samples(
    sources: Sequence[AtLayer],
    rng: np.random.Generator,
    positions: int = POSITIONS,
    workers: int = 1,
    *,
    moments: bool = True,
    kept: int = _KEPT_VALUES,
    keep: Callable[[Arrays, Arrays], None] = ignore,
) -> LayerSamples | None:
    """Gather columns and targets of a weight's layers at positions drawn at random.

    Of several layers with one weight, each has as large a share of the samples as it has of all
    positions.

    A layer in a body may run on some of the samples only. The others are left out, and so are those
    on which the two models go other ways.

    Args:
        sources: the layers with the weight, and the tensors around them, in the same sources.
        rng: draws positions, the same for all samples of a batch.
        positions: the most positions of all samples together.
        workers: batches that are worked on at a time, at most; it does not change the result.
        moments: whether second moments are needed even if there are few positions.
        kept: the most values of columns and targets that are kept.
        keep: is given the tensors of each batch, those of the quantized model and of the float
            model, in the batches' order.

    Returns:
        The columns and targets. None if a tensor does not have the axes of the layer, or is not
        finite, or if no output has positions on any sample.

    Raises:
        ModelError: a tensor is no array.
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    source, width = sources[0], sources[0].shape[2]
    at_most = positions_for(positions, source.shape, min(kept, _KEPT_VALUES))
    uses = [use for k, each in enumerate(sources) if (use := _Use.of(each, k)) is not None]
    if not uses:
        return None
    of_all = sum(use.positions for use in uses)
    # The input values of all samples of both kinds: a sample counts by its length.
    values = [batch.length * batch.count for batch in source.batches]
    judges = sum(n for index, n in enumerate(values) if index in source.heldout)
    fitted = sum(values) - judges
    keeps_judges = width > MANY_COLUMNS
    judged = max(_LEAST_POSITIONS, 0 if keeps_judges else _JUDGED_PER_COLUMN * width)

    def wanted(use: _Use, batch: Batch, targets: Arrays, *, judging: bool) -> float:
        """How many positions of each entry of a batch are taken."""
        entries, share = use.entries(batch, targets), use.positions / of_all
        most = at_most * share * batch.length / (fitted * entries)
        if judging:
            most = min(most, judged * share * batch.length / (judges * entries))
        return most

    def taken(use: _Use) -> int:
        """How many positions of a use are taken of all samples."""
        of_each = wanted(use, use.longest, use.targets, judging=False)
        entries = use.entries(use.longest, use.targets) * fitted / use.longest.length
        return round(entries) * positions_of(use.source, use.targets, of_each)[1]

    activations: list[Activation | None] = [None] * len(sources)
    for use in uses:
        activations[use.number] = use.activation
    gathered = LayerSamples(
        [each.layer.bias is not None for each in sources],
        activations=activations,
        few=not moments and in_space_of_positions(sum(map(taken, uses)), width),
        heldout=bool(source.heldout),
        keeps_judges=keeps_judges,
    )

    def work(item: tuple[int, int]) -> tuple[list[SampleChunk], Arrays, Arrays]:
        index, seed = item
        tensors, targets = source.inputs.of(index), source.outputs.of(index)
        chunks = []
        for use in uses:
            if not has_positions(use.source, tensors, targets):
                continue
            most = wanted(use, source.batches[index], targets, judging=index in source.heldout)
            chunk = chunk_of(
                use.source, index, tensors, targets, seed + use.number, most, residual=use.residual
            )
            chunks.append(replace(chunk, use=use.number))
        return chunks, tensors, targets

    seeds = rng.integers(2**63, size=len(source.batches)).tolist()
    done = in_order(work, enumerate(seeds), workers)
    with np.errstate(over="ignore", invalid="ignore"):
        chunks = _kept(done, source.batches, keep)
        for parts in _divided(chunks) if source.heldout else _halved(chunks):
            gathered.add(*parts)
        return gathered if gathered.count and gathered.finite else None


def _kept(
    done: Iterator[tuple[list[SampleChunk], Arrays, Arrays]],
    batches: Sequence[Batch],
    keep: Callable[[Arrays, Arrays], None],
) -> Iterator[tuple[SampleChunk, int]]:
    """The chunks and their numbers of samples; the tensors go to `keep`."""
    for (chunks, tensors, targets), batch in zip(done, batches, strict=True):
        keep(tensors, targets)
        yield from ((chunk, batch.count) for chunk in chunks)


def _divided(chunks: Iterator[tuple[SampleChunk, int]]) -> Iterator[list[SampleChunk]]:
    """Chunks of one use to add together: of those that only judge, and of the others."""
    together: dict[tuple[bool, int], list[SampleChunk]] = {}
    for chunk, _ in chunks:
        parts = together.setdefault((not chunk.heldout, chunk.use), [])
        parts.append(chunk)
        if sum(part.columns.size for part in parts) >= _CHUNK_VALUES:
            together[not chunk.heldout, chunk.use] = []
            yield parts
    yield from (together[kind] for kind in sorted(together) if together[kind])


def _halved(chunks: Iterator[tuple[SampleChunk, int]]) -> Iterator[list[SampleChunk]]:
    """Chunks of one use to add together: of one half of each batch, and of the other, in turn.

    Moments are kept in two folds, and each gets the samples of one kind. A batch of one sample is
    not divided, since its positions are alike.
    """
    halves: defaultdict[int, tuple[list[SampleChunk], list[SampleChunk]]]
    halves, counts, sizes = defaultdict(lambda: ([], [])), Counter[int](), Counter[int]()
    for chunk, samples in chunks:
        use, index = chunk.use, counts[chunk.use]
        # Of an odd number, one half has one more, and the other in the next batch.
        middle = (chunk.columns.shape[1] + 1 - index % 2) // 2
        if samples == 1:
            middle = 0 if index % 2 else chunk.columns.shape[1]
        halves[use][0].append(_part(chunk, slice(0, middle)))
        halves[use][1].append(_part(chunk, slice(middle, None)))
        counts[use] += 1
        sizes[use] += chunk.columns.size
        if index % 2 and sizes[use] >= 2 * _CHUNK_VALUES:
            yield from halves.pop(use)
            sizes[use] = 0
    for use in sorted(halves):
        yield from (half for half in halves[use] if sum(part.columns.size for part in half))


def _part(chunk: SampleChunk, positions: slice) -> SampleChunk:
    shift = None if chunk.shift is None else chunk.shift[:, positions]
    columns, targets = chunk.columns[:, positions], chunk.targets[:, positions]
    return replace(chunk, columns=columns, targets=targets, shift=shift)
