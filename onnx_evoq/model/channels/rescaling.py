"""Scale channels so that a model computes the same from other weights.

An output channel of a linear layer may be scaled by s > 0, if every layer that reads it takes the
matching input channel times 1/s, and nothing in between minds (Nagel et al., Data-Free Quantization
Through Weight Equalization and Bias Correction, 2019, https://arxiv.org/abs/1906.04721):

    W[o, i] -> W[o, i] * s(o) / s(i)        b[o] -> b[o] * s(o)

Channels that meet, as in a residual sum, have one scale together: they are a group.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, numpy_helper

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO, IdTensor
from onnx_evoq.model.channels.scale_groups import channel_ids
from onnx_evoq.model.graph import replace_weights
from onnx_evoq.model.layers import linear_layers


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """The groups of channels that have one scale together.

    They are numbered from 0 in the order of the layers; -1 stands for a channel that must keep its
    scale. A weight that is shared, or that a layer does not read directly, is in neither mapping.

    Attributes:
        count: how many groups there are.
        rows: weight name -> (output channels,) the group of each output channel.
        columns: weight name -> (input channels,) the group of each input channel; of all input
            channels, also where each output channel reads but one group of them.
    """

    count: int
    rows: Mapping[str, Indices]
    columns: Mapping[str, Indices]


def channel_groups(model: ModelProto) -> ChannelGroups:
    """Find the channels that may be scaled, and which of them must be scaled together.

    Args:
        model: a model as `load` returns it. BatchNormalization pins what it reads: fold it first.

    Raises:
        ModelError: an input of the model is not a tensor of numbers.
    """
    layers = linear_layers(model.graph)
    numbers: dict[int, int] = {ZERO: -1, PINNED: -1}
    rows: dict[str, Indices] = {}
    columns: dict[str, Indices] = {}
    for layer, (outputs, inputs) in zip(layers, channel_ids(model, layers), strict=True):
        rows[layer.weight] = _numbered(outputs, numbers)
        columns[layer.weight] = _numbered(inputs, numbers)
    return ChannelGroups(len(numbers) - 2, rows, columns)


def rescaled(model: ModelProto, groups: ChannelGroups, scales: Float64Array) -> ModelProto:
    """A copy of `model` with other weights and biases that computes the same.

    The arithmetic is in float64; each tensor keeps its type. What is beyond the range of float16
    becomes infinite there.

    Args:
        model: the model.
        groups: as `channel_groups` found them in it.
        scales: (groups.count,) what to multiply the channels of each group with.

    Raises:
        ValueError: there is not one positive, finite scale for each group.
    """
    if scales.shape != (groups.count,) or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"scales must be {groups.count} positive numbers, one for each group")
    by_number = np.append(scales, 1.0)  # the last one, at -1, is for what keeps its scale
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    changed: dict[str, Float64Array] = {}
    for layer in linear_layers(model.graph):
        of_outputs = by_number[groups.rows[layer.weight]]  # (output channels,)
        of_inputs = by_number[groups.columns[layer.weight]]  # (input channels,)
        weight = numpy_helper.to_array(tensors[layer.weight]).astype(np.float64)
        cholesky_factor = (
            of_outputs[layer.outputs] / of_inputs[layer.inputs]
        )  # the weight's first two axes
        changed[layer.weight] = weight * cholesky_factor.reshape(
            *cholesky_factor.shape, *[1] * (weight.ndim - 2)
        )
        for name in layer.biases:
            bias = numpy_helper.to_array(tensors[name]).astype(np.float64)
            changed[name] = bias * of_outputs.reshape(bias.shape)
    with np.errstate(over="ignore"):
        return replace_weights(model, changed)


def _numbered(ids: IdTensor, numbers: dict[int, int]) -> Indices:
    """The number of each id, the next one for an id that has none."""
    return np.array(
        [numbers.setdefault(entry, len(numbers) - 2) for entry in ids.tolist()], np.intp
    )
