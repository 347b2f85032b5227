"""Rescale channels for cross-layer equalization: other weights that compute the same outputs.

An output channel of a linear layer may be scaled by s > 0, if every layer that reads it scales the
matching input channel by 1/s, and every node between them passes the scale on (Nagel et al.,
Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
https://arxiv.org/abs/1906.04721):

    W[o, i] -> W[o, i] * s(o) / s(i)        b[o] -> b[o] * s(o)

The limits of a Clip between them are scaled by s, too. Channels that are added to each other, as in
a residual sum, must have the same scale: they form a group.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from onnx_evoq.array_blocks import blocks, rows_of
from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO, IdTensor
from onnx_evoq.model.channels.scale_groups import channel_ids
from onnx_evoq.model.emission import replace_weights
from onnx_evoq.model.layers import linear_layers, with_scaled_limits
from onnx_evoq.model.tensors import array_of

Floats: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """The groups of channels that must have the same scale.

    The groups are numbered from 0 in the order of the layers; -1 stands for a channel that must
    keep its scale. A weight that several nodes read, or that no layer reads directly, is in neither
    mapping.

    Attributes:
        count: the number of groups.
        rows: weight name -> (output channels,) the group of each output channel.
        columns: weight name -> (input channels,) the group of each input channel. A convolution
            with groups has an entry for all input channels of all its groups.
        clips: name of a Clip's output -> the groups that its limits are scaled with, in a shape
            that broadcasts along its input.
        tensors: likewise of tensors that were asked for, if groups differ along one axis at most.
    """

    count: int
    rows: Mapping[str, Indices]
    columns: Mapping[str, Indices]
    clips: Mapping[str, Indices] = field(default_factory=dict)
    tensors: Mapping[str, Indices] = field(default_factory=dict)


def channel_groups(model: ModelProto, tensors: Collection[str] = ()) -> ChannelGroups:
    """Find the channels that may be scaled, and which of them must be scaled together.

    Args:
        model: a model as `load` returns it. BatchNormalization pins its input: fold it first.
        tensors: names of tensors whose channels' groups are wanted, too.

    Raises:
        ModelError: an input of the model is not a tensor of numbers.
    """
    layers = linear_layers(model.graph)
    numbers: dict[int, int] = {ZERO: -1, PINNED: -1}
    rows: dict[str, Indices] = {}
    columns: dict[str, Indices] = {}
    ids = channel_ids(model, layers, tensors)
    for layer, (outputs, inputs) in zip(layers, ids.layers, strict=True):
        rows[layer.weight] = _numbered(outputs, numbers)
        columns[layer.weight] = _numbered(inputs, numbers)
    count = len(numbers) - 2
    clips = {name: _numbered(at_clip, numbers) for name, at_clip in ids.clips.items()}
    asked = {name: _numbered(of_tensor, numbers) for name, of_tensor in ids.tensors.items()}
    return ChannelGroups(count, rows, columns, clips, asked)


def rescaled(model: ModelProto, groups: ChannelGroups, scales: Float64Array) -> ModelProto:
    """A copy of `model` with rescaled weights and biases that computes the same outputs.

    The arithmetic is in float64; each tensor keeps its type. A value beyond the range of float16
    becomes infinite in a float16 tensor.

    Args:
        model: the model.
        groups: the groups that `channel_groups` found in it.
        scales: (groups.count,) the factor for the channels of each group.

    Raises:
        ValueError: the scales are not one positive, finite number for each group.
    """
    if scales.shape != (groups.count,) or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"scales must be {groups.count} positive numbers, one for each group")
    by_group = np.append(scales, 1.0)  # the last one, at -1, is for channels that stay
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    clips = {name: by_group[numbers] for name, numbers in groups.clips.items()}
    changed: dict[str, Floats] = {}
    with np.errstate(over="ignore"):
        for layer in linear_layers(model.graph):
            of_outputs = by_group[groups.rows[layer.weight]]  # (output channels,)
            of_inputs = by_group[groups.columns[layer.weight]]  # (input channels,)
            weight = array_of(tensors[layer.weight])
            # Along the first two axes, (n, m)
            factors = of_outputs[layer.outputs] / of_inputs[layer.inputs]
            changed[layer.weight] = _scaled(weight, factors)
            for name in layer.biases:
                bias = array_of(tensors[name])
                changed[name] = _scaled(bias, of_outputs.reshape(bias.shape))
        return with_scaled_limits(replace_weights(model, changed), clips)


def _scaled(values: Floats, factors: Float64Array) -> Floats:
    """Values times the factors along their first axes, in their own type, block by block."""
    scaled = np.empty_like(values)
    factors = factors.reshape(*factors.shape, *[1] * (values.ndim - factors.ndim))
    for rows, block in blocks(values):
        scaled[rows] = block * rows_of(factors, rows)  # in float64
    return scaled


def _numbered(ids: IdTensor, numbers: dict[int, int]) -> Indices:
    """The number of each id, in the same shape; an id without one gets the next."""
    flat = [numbers.setdefault(entry, len(numbers) - 2) for entry in ids.ravel().tolist()]
    return np.array(flat, np.intp).reshape(ids.shape)
