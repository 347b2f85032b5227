"""Cut samples into batches, and cut the outputs of batches into samples again.

Samples lie along the first axis of every array. If a model prescribes its batch size, the last
batch is padded: its last sample is repeated, and the outputs of the repetitions are dropped. If an
array has one axis more than the model's input, each sample is a whole feed, and each batch is one
sample. That is how inputs without a batch axis are fed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Indices
from onnx_evoq.errors import ModelError
from onnx_evoq.signature import TensorSpec


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of one run.

    Attributes:
        feed: input arrays by name.
        size: the number of samples in the feed.
        count: the number of samples without padding.
    """

    feed: dict[str, Array]
    size: int
    count: int


def fixed_batch_size(inputs: Arrays, specs: Sequence[TensorSpec]) -> int | None:
    """The batch size that the model or the data prescribe; None if it is free.

    Args:
        inputs: an array (samples, ...) for each of `specs`.
        specs: the model's inputs.
    """
    if any(_whole_feeds(inputs[spec.name], spec) for spec in specs):
        return 1
    sizes = {spec.shape[0] for spec in specs if spec.shape} - {None}
    return min(size for size in sizes if size is not None) if sizes else None


def make_batches(
    inputs: Arrays, specs: Sequence[TensorSpec], size: int, ends: Sequence[int] = ()
) -> list[Batch]:
    """Cut samples into batches.

    Args:
        inputs: an array (samples, ...) for each of `specs`.
        specs: the model's inputs.
        size: samples per batch. The last batch is shorter, or padded if the model prescribes its
            batch size.
        ends: numbers of samples at which a batch must end, so that the samples before them can be
            scored alone. They are ignored if the model prescribes its batch size.

    Example:
        >>> specs = [TensorSpec("x", np.dtype("float32"), (None, 2))]
        >>> [batch.count for batch in make_batches({"x": np.zeros((5, 2))}, specs, 2)]
        [2, 2, 1]
    """
    samples = len(inputs[specs[0].name]) if specs else 1
    padded = fixed_batch_size(inputs, specs) is not None
    ends = [samples] if padded else sorted({*ends, samples})
    batches, start = [], 0
    while start < samples:
        end = next(end for end in ends if end > start)
        count = min(size, end - start, samples - start)
        rows = np.arange(start, start + (size if padded else count)).clip(max=samples - 1)
        feed = {spec.name: _rows(inputs[spec.name], spec, rows) for spec in specs}
        batches.append(Batch(feed, len(rows), count))
        start += count
    return batches


def boxed(value: Any) -> Array:
    """Any value of Python as an array of no axes."""
    box = np.empty((), object)
    box[()] = value
    return box


def per_sample(name: str, output: Array, batch: Batch, *, unlike: bool = False) -> Array:
    """Give an output one row per sample, (count, ...), without the padding.

    If the batch is one sample, an output without a batch axis gets one. If it is several, the first
    axis of the output must be a multiple of their number.

    Args:
        name: the name of the output in messages.
        output: the output of a run.
        batch: the samples of this run.
        unlike: whether its rows are no samples. Then the batch must be one sample, and the result
            is (1,), an object that holds what the run gave.

    Raises:
        ModelError: the output has no row per sample.
    """
    if unlike and batch.size == 1:
        whole = output if output.dtype == object and not output.ndim else boxed(output)
        return whole[None]
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


def check_shapes(batches: Sequence[Arrays]) -> None:
    """Check that an output has the same shape for all samples, so that it can be compared.

    Args:
        batches: the outputs of each batch, name -> (count, ...).

    Raises:
        ModelError: an output's shape changes from sample to sample.
    """
    for name in batches[0]:
        shapes = {batch[name].shape[1:] for batch in batches}
        if len(shapes) > 1:
            listed = " and ".join(str(shape) for shape in sorted(shapes)[:2])
            raise ModelError(
                f"output {name!r} changes its shape from sample to sample ({listed}): name tensors "
                "of floats before the nodes that select (--score-at)."
            )


def concatenated(outputs: Iterable[Arrays]) -> dict[str, Array]:
    """Join the outputs of all batches, name -> (samples, ...).

    Args:
        outputs: the outputs of each batch, name -> (count, ...).

    Raises:
        ModelError: an output's shape changes from sample to sample.
    """
    batches = list(outputs)
    check_shapes(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _whole_feeds(array: Array, spec: TensorSpec) -> bool:
    """Whether each sample of an array is a whole feed."""
    return spec.shape is not None and array.ndim == len(spec.shape) + 1


def _rows(array: Array, spec: TensorSpec, rows: Indices) -> Array:
    if _whole_feeds(array, spec):
        return np.asarray(array[rows[0]])
    if rows[-1] - rows[0] == len(rows) - 1:  # without padding: a view, no copy
        return np.ascontiguousarray(array[rows[0] : rows[-1] + 1])
    return array[rows]
