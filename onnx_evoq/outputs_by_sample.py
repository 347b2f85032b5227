"""The outputs of batches, cut into those of samples, and joined again."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch, listed, places_of
from onnx_evoq.errors import ModelError


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


def check_shapes(
    outputs: Sequence[Arrays], batches: Sequence[Batch], names: Collection[str]
) -> None:
    """Check that outputs can be compared: their shapes follow from those of the inputs.

    Args:
        outputs: the outputs of each batch, name -> (count, ...).
        batches: the batches.
        names: the outputs to check: those of which the graph does not tell it.

    Raises:
        ModelError: an output's shape changes among samples of one group.
    """
    shapes: dict[tuple[int, str], tuple[int, ...]] = {}
    for batch, of_batch in zip(batches, outputs, strict=False):
        for name in (name for name in of_batch if name in names):
            shape = of_batch[name].shape[1:]
            known = shapes.setdefault((batch.group, name), shape)
            if known != shape:
                both = " and ".join(str(each) for each in sorted({known, shape}))
                raise ModelError(
                    f"output {name!r} changes its shape from sample to sample ({both}): name "
                    "tensors of floats before the nodes that select (--score-at).",
                    name,
                )


def concatenated(outputs: Iterable[Arrays]) -> dict[str, Array]:
    """Join the outputs of all batches, name -> (samples, ...).

    Where samples have outputs of different shapes, it is an array of objects, (samples,), of one
    array for each sample.

    Args:
        outputs: the outputs of each batch, name -> (count, ...).
    """
    batches = list(outputs)
    return {name: _joined([batch[name] for batch in batches]) for name in batches[0]}


def in_order_of_samples(outputs: Sequence[Arrays], batches: Sequence[Batch]) -> list[Arrays]:
    """Outputs in the order of the samples: those of all samples at once, or one by one.

    Args:
        outputs: the outputs of each batch, name -> (count, ...).
        batches: all batches of the samples.

    Returns:
        One part, name -> (samples, ...), if all outputs have one shape; else one for each sample,
        name -> (1, ...).
    """
    one_group = len({batch.group for batch in batches}) == 1
    if one_group and all(len({o[n].shape[1:] for o in outputs}) == 1 for n in outputs[0]):
        return [concatenated(outputs)]
    parts = [
        {name: values[row : row + 1] for name, values in of_batch.items()}
        for of_batch, batch in zip(outputs, batches, strict=True)
        for row in range(batch.count)
    ]
    return [parts[row] for row in np.argsort(places_of(batches))]


def _joined(parts: Sequence[Array]) -> Array:
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    return listed([sample for part in parts for sample in part])
