"""Split output channels of layers, so that the layers that read them have smaller weights.

Outlier channel splitting (OCS, https://arxiv.org/abs/1901.09504) duplicates a channel. Both copies
have the values that the channel had, and each layer that reads them has half the weight for either
(see `splittable` for the layers that allow it). Halving is exact in binary, except for denormal
numbers, so the model computes the same but for the order of sums.

The copies of a layer's channels lie after its last channel, also within a Concat of several layers.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, numpy_helper

from onnx_evoq.array_blocks import largest_magnitudes
from onnx_evoq.array_types import Indices
from onnx_evoq.model.graph import copy_of, names_in_use, reader_counts, unused_name
from onnx_evoq.model.splitting.splittable import ChannelSlice, SplittableLayer, splittable_layers
from onnx_evoq.model.tensors import array_of, bytes_of

Splits: TypeAlias = Mapping[str, Sequence[int]]
Floats: TypeAlias = NDArray[np.floating]


def outlier_orders(model: ModelProto) -> dict[str, Indices]:
    """The output channels of each splittable layer, the largest outliers first.

    The size of channel c is the largest `|W2[:, c]| / max|W2|` over the layers that read it, with
    weights W2: to split the first channels of the order makes the range of W2 smaller.

    Args:
        model: a model as `load` returns it.

    Returns:
        weight -> (channels,) indices of its output channels; channels of equal size are in order.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    orders = {}
    for name, layer in splittable_layers(model)[0].items():
        largest = np.zeros(layer.channels)  # (channels,)
        for reader in _readers(layer):
            sizes = largest_magnitudes(array_of(tensors[reader.weight]), reader.axis)  # (entries,)
            sizes = sizes.astype(np.float64)
            end = reader.start + layer.channels * reader.block
            own = sizes[reader.start : end].reshape(layer.channels, -1)  # (channels, block)
            largest = np.maximum(largest, own.max(axis=1) / (sizes.max() or 1.0))
        orders[name] = np.argsort(-largest, kind="stable")
    return orders


class ChannelReader(NamedTuple):
    """A layer that reads the output channels of another layer.

    Attributes:
        weight: the name of its weight.
        axis: the axis of that weight that its input channels lie along.
        start: the index of the first channel there.
        block: how many entries in a row belong to one channel.
    """

    weight: str
    axis: int
    start: int
    block: int


def channel_readers(model: ModelProto) -> dict[str, list[ChannelReader]]:
    """The layers that read the channels of each splittable layer, by the weight of the latter.

    Args:
        model: a model as `load` returns it.
    """
    return {name: _readers(layer) for name, layer in splittable_layers(model)[0].items()}


def _readers(layer: SplittableLayer) -> list[ChannelReader]:
    return [
        ChannelReader(entry.constant, entry.axis, entry.start, entry.block)
        for entry in layer.slices
        if entry.halved
    ]


def bytes_per_copy(model: ModelProto) -> dict[str, int]:
    """The bytes that a copy of a channel adds besides its codes, by the weight of its layer.

    These are its bias and its values in other constants. (A constant that several nodes read is
    copied for the layer, and that copy is not counted.)

    Args:
        model: a model as `load` returns it.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        name: sum(
            bytes_of(tensors[entry.constant])
            // tensors[entry.constant].dims[entry.axis]
            * entry.block
            for entry in layer.slices
            if not entry.halved and entry.constant != name
        )
        for name, layer in splittable_layers(model)[0].items()
    }


def channels_to_split(order: Indices, share: float) -> tuple[int, ...]:
    """The first `ceil(share * channels)` channels of an order.

    Args:
        order: (channels,) the channels of a layer, from `outlier_orders`.
        share: the share of the channels to split, from 0 to 1.

    Example:
        >>> channels_to_split(np.array([2, 0, 1, 4, 3]), 1 / 4)
        (2, 0)
    """
    return tuple(order[: ceil(share * len(order))].tolist())


def splits_from_shares(
    shares: Mapping[str, float], orders: Mapping[str, Indices]
) -> dict[str, tuple[int, ...]]:
    """The channels to split of several layers, by weight.

    Args:
        shares: weight -> the share of its output channels to split, from 0 to 1.
        orders: weight -> (channels,) its channels in order, from `outlier_orders`.

    Raises:
        ValueError: a share is not between 0 and 1, or a weight has no order.

    Example:
        >>> orders = {"w": np.array([2, 0, 1, 4, 3]), "v": np.array([0])}
        >>> splits_from_shares({"w": 1 / 4, "v": 0}, orders)
        {'w': (2, 0), 'v': ()}
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"the share of channels of {name!r} must lie in [0, 1], not {share}")
        if name not in orders:
            raise ValueError(f"the channels of {name!r} cannot be split")
    return {name: channels_to_split(orders[name], share) for name, share in shares.items()}


def with_split_channels(model: ModelProto, splits: Splits) -> ModelProto:
    """A copy of `model` with duplicated channels that computes the same outputs.

    Args:
        model: a model as `load` returns it, with BatchNormalization folded.
        splits: weight -> the output channels to duplicate, each once.

    Raises:
        ValueError: the channels of a weight cannot be split, or it has no such channels.

    Example:
        >>> from onnx import parser
        >>> model = parser.parse_model('''
        ...     <ir_version: 8, opset_import: ["" : 17]>
        ...     net (float[1, 1] x) => (float[1, 1] y)
        ...     <float[1, 2] w = {1, 2}, float[2, 1] v = {3, 4}>
        ...     { a = MatMul(x, w)  b = Relu(a)  y = MatMul(b, v) }''')
        >>> split = with_split_channels(model, {"w": [1]})
        >>> [numpy_helper.to_array(t).ravel().tolist() for t in split.graph.initializer]
        [[1.0, 2.0, 2.0], [3.0, 2.0, 2.0]]
    """
    allowed, reasons = splittable_layers(model)
    chosen = {name: channels for name, channels in splits.items() if len(channels)}
    for name, channels in chosen.items():
        if name not in allowed:
            why = reasons.get(name, "there is no such weight")
            raise ValueError(f"the channels of {name!r} cannot be split: {why}")
        if len(set(channels)) < len(channels) or not all(
            0 <= channel < allowed[name].channels for channel in channels
        ):
            raise ValueError(f"{name!r} has no such channels, each once: {list(channels)}")
    split = copy_of(model)
    _split_constants(split.graph, [allowed[name] for name in chosen], chosen)
    stale = {name for weight in chosen for name in allowed[weight].widened}
    for value in [value for value in split.graph.value_info if value.name in stale]:
        split.graph.value_info.remove(value)
    return split


class _SliceSplit(NamedTuple):
    """The channels to duplicate in a slice of a constant that has `total` channels."""

    slice: ChannelSlice
    total: int
    channels: Sequence[int]


def _split_constants(graph: GraphProto, layers: Sequence[SplittableLayer], splits: Splits) -> None:
    """Duplicate the entries of split channels in all constants, in place."""
    by_input: dict[tuple[str, int], list[_SliceSplit]] = defaultdict(list)  # of a node
    for layer in layers:
        for entry in layer.slices:
            split = _SliceSplit(entry, layer.channels, splits[layer.weight])
            by_input[entry.node, entry.input].append(split)
    nodes = {node.output[0]: node for node in graph.node if node.output}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    counts, used = reader_counts(graph), names_in_use(graph)
    for (output, position), here in by_input.items():
        names = nodes[output].input
        old = tensors[names[position]]
        values = array_of(old)
        for axis in {split.slice.axis for split in here}:
            along_axis = [split for split in here if split.slice.axis == axis]
            values = _with_copies(values, axis, along_axis)
        if counts[old.name] == 1:
            old.CopyFrom(numpy_helper.from_array(values, old.name))
        else:  # the other readers keep the old one
            counts[old.name] -= 1
            names[position] = unused_name(f"{old.name}_expanded", used)
            graph.initializer.append(numpy_helper.from_array(values, names[position]))


def _with_copies(values: Floats, axis: int, splits: Sequence[_SliceSplit]) -> Floats:
    """`values` with copies of split channels along `axis`, halved where layers read them."""
    size = values.shape[axis]
    factors = np.ones(size, values.dtype)
    copied: list[int] = []  # the entries to copy, and the entry that each copy lies before
    before: list[int] = []
    for entry, total, channels in splits:
        for channel in channels:
            start = entry.start + channel * entry.block
            block = range(start, start + entry.block)
            copied.extend(block)
            before.extend([entry.start + total * entry.block] * entry.block)
            if entry.halved:
                factors[block] = 0.5
    order = np.insert(np.arange(size), before, copied)  # `before` counts in the old entries
    shape = (-1, *[1] * (values.ndim - 1 - axis))
    return values.take(order, axis) * factors[order].reshape(shape)
