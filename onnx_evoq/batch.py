"""Samples to feeds and back: plain data between the rooms.

Samples lie along the first axis of every array. How many of them one run of a model takes is up to
the model: a fixed batch dimension is fed by repeating the last sample, and what was repeated is
taken off the outputs again. An array with one axis more than the model's input holds a whole feed
per sample (an input without a batch axis, say), and then each run takes one sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Indices
from onnx_evoq.errors import ModelError
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True, eq=False)
class Batch:
    """What one run takes.

    Attributes:
        feed: input arrays by name.
        size: samples that are fed.
        count: how many of them are real; the rest repeats the last one.
    """

    feed: dict[str, Array]
    size: int
    count: int


def fixed_batch_size(inputs: Arrays, specs: Sequence[TensorSpec]) -> int | None:
    """The batch size that the model or the data prescribe, None where it is free."""
    if any(_whole_feeds(inputs[spec.name], spec) for spec in specs):
        return 1
    sizes = {spec.shape[0] for spec in specs if spec.shape} - {None}
    return min(size for size in sizes if size is not None) if sizes else None


def make_batches(
    inputs: Arrays, specs: Sequence[TensorSpec], size: int, marks: Sequence[int] = ()
) -> list[Batch]:
    """Cut samples into feeds of `size` samples.

    Args:
        inputs: an array (samples, ...) for each of `specs`.
        specs: the model's inputs.
        size: samples per run; the last feed is shorter unless the model prescribes the size.
        marks: numbers of samples at which a feed must end, so that the first so many can be scored
            alone; not kept where the model prescribes the size.
    """
    samples = len(inputs[specs[0].name]) if specs else 1
    padded = fixed_batch_size(inputs, specs) is not None
    ends = [samples] if padded else sorted({*marks, samples})
    batches, start = [], 0
    while start < samples:
        end = next(mark for mark in ends if mark > start)
        count = min(size, end - start, samples - start)
        rows = np.arange(start, start + (size if padded else count)).clip(max=samples - 1)
        feed = {spec.name: _rows(inputs[spec.name], spec, rows) for spec in specs}
        batches.append(Batch(feed, len(rows), count))
        start += count
    return batches


def per_sample(name: str, output: Array, batch: Batch) -> Array:
    """An output with one row per real sample, (count, ...).

    An output without a batch axis gets one where one sample was fed; where several were, its first
    axis must be a multiple of them.
    """
    if batch.size == 1:
        return output if output.ndim and output.shape[0] == 1 else output[None]
    if output.ndim and output.shape[0] == batch.size:
        return output[: batch.count]
    if output.ndim and output.shape[0] and output.shape[0] % batch.size == 0:
        return output.reshape(batch.size, -1, *output.shape[1:])[: batch.count]
    raise ModelError(
        f"output {name!r} has shape {output.shape} for a batch of {batch.size}: "
        "export the model with a batch dimension of 1, or a free one."
    )


def check_shapes(parts: Sequence[Arrays]) -> None:
    """Make sure that outputs have one shape per sample, as comparing them demands.

    Args:
        parts: outputs by name, (count, ...) each.

    Raises:
        ModelError: an output's shape changes from sample to sample.
    """
    for name in parts[0]:
        shapes = {part[name].shape[1:] for part in parts}
        if len(shapes) > 1:
            listed = " and ".join(str(shape) for shape in sorted(shapes)[:2])
            raise ModelError(
                f"output {name!r} changes its shape from sample to sample ({listed}): export the "
                "model without what selects (NonZero or NonMaxSuppression, say)."
            )


def concatenated(parts: Sequence[Arrays]) -> dict[str, Array]:
    """Outputs of all batches, name -> (samples, ...).

    Raises:
        ModelError: an output's shape changes from sample to sample.
    """
    check_shapes(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _whole_feeds(array: Array, spec: TensorSpec) -> bool:
    return spec.shape is not None and array.ndim == len(spec.shape) + 1


def _rows(array: Array, spec: TensorSpec, rows: Indices) -> Array:
    if _whole_feeds(array, spec):
        return np.asarray(array[rows[0]])
    if rows[-1] - rows[0] == len(rows) - 1:  # a view, not a copy, where nothing is repeated
        return np.ascontiguousarray(array[rows[0] : rows[-1] + 1])
    return array[rows]
