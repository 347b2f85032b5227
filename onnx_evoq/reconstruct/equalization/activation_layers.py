"""Activations as layers whose channels may be scaled, from their values in the float model.

All channels of an activation are rounded with one step, so those that are small beside others waste
codes. Scaled by s, a channel has an error that is smaller by s in the layers that read it. An
activation that shares its scale with an earlier one has no error of its own: its values lie on the
grid already.

The relevance of a channel is that of an error which is the same at all positions, as errors of
weights are. Those of activations differ from one position to the next, and means over positions
take most of them away. They count as much as errors of weights where codes are so few that
neighbours are rounded alike, and a tenth of that else.
"""

from collections.abc import Mapping

import numpy as np

from onnx_evoq.array_types import Array, Float64Array, Indices
from onnx_evoq.engine import Frontier
from onnx_evoq.model import Model, as_network
from onnx_evoq.quantize import ActivationGrid, ScaledLayer, activation_as_layer
from onnx_evoq.setup import Task

_SAMPLES = 32
_VALUES, _LEAST_VALUES, _MOST_VALUES = 2**17, 64, 2048  # of a tensor; of each of its channels

_FEW_BITS = 4
_SHARE_OF_MORE_BITS = 0.1  # on a ResNet-8 of 4-bit weights .03 to .1 was best at 6 bits, 1 at 4


def activation_layers(
    task: Task,
    model: Model,
    grids: Mapping[str, ActivationGrid],
    channels: Mapping[str, Indices],
    rng: np.random.Generator,
) -> dict[str, ScaledLayer]:
    """The activations that have a channel whose scale is free, as layers by name.

    Args:
        task: the samples of the search set, and whether scales are powers of two.
        model: the float model.
        grids: of each activation that is rounded, by name; their scales have no effect.
        channels: the scale of each channel, -1 for one that stays 1, in a shape that broadcasts
            along the activation and is larger than 1 along one axis at most.
        rng: draws the values.
    """
    free = {name: of for name, of in channels.items() if name in grids and (of >= 0).any()}
    if not free:
        return {}
    batches = task.search_set.first(_SAMPLES).batches
    ahead = Frontier(batches, task.resources, 0, len(batches)).ahead(
        as_network(model), [], list(free)
    )
    drawn: dict[str, list[Float64Array]] = {name: [] for name in free}
    for index in range(len(batches)):
        tensors = ahead.of(index)
        for name, of_channels in free.items():
            drawn[name].append(_some(tensors[name], of_channels.shape, len(batches), rng))
    return {
        name: activation_as_layer(
            np.concatenate(values, axis=1),
            free[name].ravel(),
            grids[name].bits,
            signed=grids[name].signed,
            pow2=task.activation_scale == "pow2",
            share=1.0 if grids[name].bits <= _FEW_BITS else _SHARE_OF_MORE_BITS,
        )
        for name, values in drawn.items()
    }


def _some(
    values: Array, shape: tuple[int, ...], batches: int, rng: np.random.Generator
) -> Float64Array:
    """(channels, n): some values of each channel; `shape` is that of its channels."""
    axis = int(np.argmax(shape))
    by_channel = np.moveaxis(np.asarray(values), axis, 0).reshape(shape[axis], -1)
    most = int(np.clip(_VALUES // shape[axis], _LEAST_VALUES, _MOST_VALUES)) // batches
    everywhere = by_channel.shape[1]
    at = np.sort(rng.choice(everywhere, min(max(1, most), everywhere), replace=False))
    return np.asarray(by_channel[:, at], np.float64)
