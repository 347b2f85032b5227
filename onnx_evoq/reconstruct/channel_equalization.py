"""Cross-layer equalization with one scale for each channel, before a model is reconstructed.

What errors of each layer's columns count is gathered from the float model on a few samples. The
scales follow in closed form (`quantize.channel_scales`), and the scaled model computes the same as
before. Where BatchNormalization was folded into channels of very unlike range, one step for a whole
tensor fits none of them without it.

With integer activations these join in (`activation_layers`): scales that suit the weights alone
would make activations more unlike.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from onnx_evoq.activations import Activations
from onnx_evoq.array_types import Indices
from onnx_evoq.engine import LayerPower, layer_powers
from onnx_evoq.model import (
    ChannelGroups,
    Weight,
    as_network,
    channel_groups,
    find_layers,
    own_biases,
    rescaled,
    weights_named,
)
from onnx_evoq.quantize import Linear, ScaledLayer, best_steps, channel_scales
from onnx_evoq.reconstruct.activation_layers import activation_layers
from onnx_evoq.setup import Task, axis_of_steps

_SAMPLES = 32
_POSITIONS = 2048  # the power of a column needs far fewer than codes do
_RUNS = 3  # of the model for each sample, with all that is gathered
_RUNS_FOR_ACTIVATIONS = 4  # to place them, and to gather their values
_PER_LAYER, _PER_WEIGHT = 0.1, 2.5e-7  # seconds
_MOST_LEFT = 0.98  # share of the estimated error, above which the model stays as it is


def equalization_seconds(task: Task) -> float:
    """About how long `equalize_channels` takes."""
    samples = min(_SAMPLES, task.search_set.samples)
    weights = sum(weight.values.size for weight in task.weights)
    gathered = _PER_LAYER * len(task.weights) + _PER_WEIGHT * weights
    runs = _RUNS if task.activation_bits is None else _RUNS + _RUNS_FOR_ACTIVATIONS
    return runs * samples * task.seconds + gathered


def equalize_channels(
    task: Task, rng: np.random.Generator, activations: Activations | None = None
) -> tuple[Task, dict[str, float]]:
    """The task for the model whose channels are scaled such that rounding costs less.

    Args:
        task: the task; labels, the held-out set and the deadline are not used.
        rng: draws the positions that powers and values are gathered from.
        activations: those of the task's model, for the places and the widths of their codes; None
            if they are floats. With them the channels that a Clip limits stay: its limits would
            differ between channels, and one highest code could not stand for them.

    Returns:
        The task with the scaled model and its weights, and the scales that suit its activations, by
        tensor; `task` itself and none if scales gain too little.
    """
    model = own_biases(task.model, task.bits)
    tensors = {} if activations is None else activations.first_of_each_scale
    groups, found = channel_groups(model, tensors), find_layers(model, task.weights)
    if not groups.count:
        return task, {}
    names = {weight.name for weight in task.weights}
    # A weight with a width for each channel has no one kernel of errors.
    measured = {
        name: layer
        for name, layer in found.items()
        if name in groups.rows and isinstance(task.bits[name], int)
    }
    batches = task.search_set.first(_SAMPLES).batches
    powers = layer_powers(
        as_network(model), measured, batches, rng, _POSITIONS, task.resources, task.progress
    )
    number = _free_scales(groups, powers)
    if activations is not None:
        for of_limits in groups.clips.values():
            number[of_limits] = -1
    entries = [
        (
            found[weight.name].output,
            _scaled_layer(
                task, weight, found[weight.name].linear, powers[weight.name], groups, number
            ),
        )
        for weight in task.weights
        if weight.name in powers
    ]
    rounded: dict[str, ScaledLayer] = {}
    if activations is not None:
        grids = {name: activations.grids[scale] for name, scale in tensors.items()}
        free = {name: number[of_channels] for name, of_channels in groups.tensors.items()}
        rounded = activation_layers(task, model, grids, free, rng)
        places = {name: k for k, node in enumerate(model.graph.node) for name in node.output}
        # An activation stands behind the layer that gives it, and before those that read it.
        entries = sorted([*entries, *rounded.items()], key=lambda entry: places[entry[0]])
    layers = [layer for _, layer in entries]
    scales, left = channel_scales(layers, groups.count)
    if not left < _MOST_LEFT:
        return task, {}
    scaled = rescaled(model, groups, scales)
    suiting = {
        name: float(steps.flat[0])
        for (name, layer), steps in zip(entries, best_steps(layers, scales), strict=True)
        if rounded.get(name) is layer
    }
    return replace(task, model=scaled, weights=weights_named(scaled, names)), suiting


def _free_scales(groups: ChannelGroups, measured: Collection[str]) -> Indices:
    """(groups + 1,) the number of each group; -1 for one with a channel of another weight.

    The last entry is -1, for the channels that are in no group (their group is -1).
    """
    number = np.append(np.arange(groups.count), -1)
    for kind in (groups.rows, groups.columns):
        for name in kind.keys() - measured:
            number[kind[name]] = -1
    return number


def _scaled_layer(
    task: Task,
    weight: Weight,
    linear: Linear,
    power: LayerPower,
    groups: ChannelGroups,
    number: Indices,
) -> ScaledLayer:
    """A layer as `channel_scales` takes it."""
    matrix = linear.matrix(weight.values).astype(np.float64)
    bits = task.bits[weight.name]
    assert isinstance(bits, int)
    return ScaledLayer(
        matrix,
        power.columns,
        power.output,
        number[groups.rows[weight.name]].reshape(matrix.shape[:2]),
        np.repeat(number[groups.columns[weight.name]], linear.taps).reshape(power.columns.shape),
        bits,
        per_channel=axis_of_steps(weight, task.granularity) is not None,
        pow2=task.scale == "pow2",
    )
