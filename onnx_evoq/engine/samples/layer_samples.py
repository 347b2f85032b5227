"""Gather a layer's columns and targets (`at_layer`) over all batches."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.samples.at_layer import AtLayer
from onnx_evoq.engine.samples.gathering import KEPT_VALUES, POSITIONS, Around, plan_gathering
from onnx_evoq.engine.samples.parts import OfBatch, batches_of_section, parts_of
from onnx_evoq.parallel import in_order
from onnx_evoq.quantize import LayerSamples, SampleChunk


def ignore(inputs: Arrays, outputs: Arrays) -> None:
    """The `keep` of a caller that keeps no tensors."""


def gather_samples(
    sources: Sequence[AtLayer],
    around: Around,
    rng: np.random.Generator,
    positions: int = POSITIONS,
    workers: int = 1,
    *,
    moments: bool = True,
    kept: int = KEPT_VALUES,
    keep: Callable[[Arrays, Arrays], None] = ignore,
) -> LayerSamples | None:
    """Gather columns and targets of a weight's layers at positions drawn at random.

    A layer in a body may run on some of the samples only. The others are left out, and so are those
    on which the two models go other ways.

    Args:
        sources: the layers with the weight.
        around: the tensors around them.
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
    gathering = plan_gathering(sources, around, positions, kept, moments=moments)
    if gathering is None:
        return None
    batches = around.batches

    def work(item: tuple[int, int]) -> tuple[list[SampleChunk], Arrays, Arrays]:
        index, seed = item
        tensors, targets = around.inputs.of(index), around.outputs.of(index)
        heldout = index in around.heldout
        found = gathering.chunks(batches[index], tensors, targets, seed, heldout=heldout)
        return found, tensors, targets

    gathered, count = gathering.samples(), len(batches)
    # Few positions are kept in one order. Judges are added up by sections in any case.
    by_sections = gathering.heldout or not gathering.few
    at_once = batches_of_section(around.of or count) if by_sections else count
    seeds = rng.integers(2**63, size=count).tolist()
    done = _numbered(in_order(work, enumerate(seeds), workers), batches, keep)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(0, count, at_once):
            chunks = (chunk for of_batch in islice(done, at_once) for chunk in of_batch)
            for parts in parts_of(chunks, heldout=gathering.heldout):
                gathered.add(*parts)
        return gathered if gathered.count and gathered.finite else None


def _numbered(
    done: Iterator[tuple[list[SampleChunk], Arrays, Arrays]],
    batches: Sequence[Batch],
    keep: Callable[[Arrays, Arrays], None],
) -> Iterator[list[OfBatch]]:
    """The chunks of each batch; its tensors go to `keep`."""
    for number, ((chunks, tensors, targets), batch) in enumerate(zip(done, batches, strict=True)):
        keep(tensors, targets)
        yield [OfBatch(chunk, number, batch.count) for chunk in chunks]
