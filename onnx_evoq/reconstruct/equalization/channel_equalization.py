"""Cross-layer equalization with one scale for each channel, before a model is reconstructed.

What errors of each layer's columns count is gathered from the float model on a few samples. The
scales follow in closed form (`quantize.channel_scales`), and the scaled model computes the same as
before. Where BatchNormalization was folded into channels of very unlike range, one step for a whole
tensor fits none of them without it.

With integer activations these join in (`activation_layers`): scales that suit the weights alone
would make activations more unlike.

What an error of a layer does to the end of the network is only estimated, and so is what columns
explain of each other. So both can be chosen otherwise (`ChannelScaling.scaled`), which a search
does (`evolve.formats`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.activations import Activations
from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.engine import LayerPower, layer_powers
from onnx_evoq.model import (
    ChannelGroups,
    Model,
    Weight,
    as_network,
    channel_groups,
    find_layers,
    own_biases,
    rescaled,
    weights_named,
)
from onnx_evoq.quantize import Linear, ScaledLayer, best_steps, channel_scales
from onnx_evoq.reconstruct.equalization.activation_layers import activation_layers
from onnx_evoq.setup import Task, axis_of_steps

_SAMPLES = 32
_POSITIONS = 2048  # the power of a column needs far fewer than codes do
_RUNS = 3  # of the model for each sample, with all that is gathered
_RUNS_FOR_ACTIVATIONS = 4  # to place them, and to gather their values
_PER_LAYER, _PER_WEIGHT = 0.1, 2.5e-7  # seconds
_MOST_LEFT = 0.98  # share of the estimated error, above which the model stays as it is


@dataclass(frozen=True, eq=False)
class Rounded:
    """A layer or an activation, whose rounding scales make better or worse.

    Attributes:
        tensor: the output of the layer, or the activation.
        layer: what its scales are chosen by.
        whole: (groups, columns), the power of the layer's columns, of which its own power is the
            part that others do not explain; None for an activation.
    """

    tensor: str
    layer: ScaledLayer
    whole: Float64Array | None = None

    def counting(self, importance: float, share: float) -> ScaledLayer:
        """The layer with an importance, and with a share of what other columns explain."""
        layer = replace(self.layer, importance=importance)
        if self.whole is None or not share:
            return layer
        return replace(layer, power=layer.power ** (1 - share) * self.whole**share)


@dataclass(frozen=True, eq=False)
class ChannelScaling:
    """The channels of a model that may be scaled, and what the scales are chosen by.

    Attributes:
        task: the task.
        model: its model, in which each layer has a bias of its own.
        groups: the channels that are scaled together.
        rounded: all that is rounded, in the graph's order.
    """

    task: Task
    model: Model
    groups: ChannelGroups
    rounded: tuple[Rounded, ...]

    def scaled(
        self, importances: Float64Array | None = None, share: float = 0.0
    ) -> tuple[Task, Mapping[str, float], float] | None:
        """The model with the scales of the least estimated error.

        Args:
            importances: (rounded,), what the error of each counts besides the estimate; None for 1.
            share: of the power of columns that others explain, on a logarithmic scale: with 0 only
                that counts which they do not explain, with 1 all of it.

        Returns:
            The task for that model, the scales that suit its activations, by tensor, and the
            estimated error as a share of that without scales; None if no scale changes.
        """
        if importances is None:
            importances = np.ones(len(self.rounded))
        layers = [
            each.counting(float(importance), share)
            for each, importance in zip(self.rounded, importances, strict=True)
        ]
        scales, left = channel_scales(layers, self.groups.count)
        if (scales == 1).all():
            return None
        model = rescaled(self.model, self.groups, scales)
        suiting = {
            each.tensor: float(steps.flat[0])
            for each, steps in zip(self.rounded, best_steps(layers, scales), strict=True)
            if each.whole is None
        }
        weights = weights_named(model, {weight.name for weight in self.task.weights})
        return replace(self.task, model=model, weights=weights), suiting, left


def equalization_seconds(task: Task) -> float:
    """About how long `equalize_channels` takes."""
    samples = min(_SAMPLES, task.search_set.samples)
    weights = sum(weight.values.size for weight in task.weights)
    gathered = _PER_LAYER * len(task.weights) + _PER_WEIGHT * weights
    runs = _RUNS if task.activation_bits is None else _RUNS + _RUNS_FOR_ACTIVATIONS
    return runs * samples * task.seconds + gathered


def equalize_channels(
    task: Task, rng: np.random.Generator, activations: Activations | None = None
) -> tuple[Task, Mapping[str, float]]:
    """The task for the model whose channels are scaled such that rounding costs less.

    Args:
        task: as for `channel_scaling`.
        rng: as for `channel_scaling`.
        activations: as for `channel_scaling`.

    Returns:
        The task with the scaled model and its weights, and the scales that suit its activations, by
        tensor; `task` itself and none if scales gain too little.
    """
    scaling = channel_scaling(task, rng, activations)
    found = None if scaling is None else scaling.scaled()
    if found is None or not found[-1] < _MOST_LEFT:
        return task, {}
    return found[:2]


def channel_scaling(
    task: Task, rng: np.random.Generator, activations: Activations | None = None
) -> ChannelScaling | None:
    """Gather what the scales of a model's channels are chosen by.

    Args:
        task: the task; labels, the held-out set and the deadline are not used.
        rng: draws the positions that powers and values are gathered from.
        activations: those of the task's model, for the places and the widths of their codes; None
            if they are floats. With them the channels that a Clip limits stay: its limits would
            differ between channels, and one highest code could not stand for them.

    Returns:
        None if no channel may be scaled.
    """
    model = own_biases(task.model, task.bits)
    tensors = {} if activations is None else activations.first_of_each_scale
    groups, found = channel_groups(model, tensors), find_layers(model, task.weights)
    if not groups.count:
        return None
    # A weight with a width for each channel has no one kernel of errors.
    measured = {
        name: layer
        for name, layer in found.items()
        if name in groups.rows and isinstance(task.bits[name], int)
    }
    batches = task.search_set.first(_SAMPLES).batches
    powers = layer_powers(
        as_network(model),
        measured,
        batches,
        rng,
        _POSITIONS,
        task.resources,
        task.memory,
        task.progress,
    )
    number = _free_scales(groups, powers)
    if activations is not None:
        for of_limits in groups.clips.values():
            number[of_limits] = -1
    rounded = [
        Rounded(
            power.name,
            _scaled_layer(task, weight, found[weight.name].linear, power, groups, number),
            power.whole,
        )
        for weight in task.weights
        if (power := powers.get(weight.name)) is not None
    ]
    if activations is not None:
        grids = {name: activations.grids[scale] for name, scale in tensors.items()}
        free = {name: number[of_channels] for name, of_channels in groups.tensors.items()}
        layers = activation_layers(task, model, grids, free, rng)
        rounded += [Rounded(name, layer) for name, layer in layers.items()]
        places = {name: k for k, node in enumerate(model.graph.node) for name in node.output}
        # An activation stands behind the layer that gives it, and before those that read it.
        rounded.sort(key=lambda each: places[each.tensor])
    return ChannelScaling(task, model, groups, tuple(rounded))


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
