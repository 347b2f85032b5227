"""Duplicate output channels of layers, so that what reads them has smaller weights.

Both copies are what the channel was, and each layer that reads them has half the weight for either
(see `layer_` for where that is allowed). Halving is exact in binary, but for the denormal
numbers, so only the order of sums changes what the model computes.

The copies of a layer's channels come behind its last one; behind a Concat, where that one lies.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, numpy_helper

from onnx_evoq.array_types import Indices
from onnx_evoq.model.channels.splittable import ChannelSlice, SplittableLayer, splittable_layers
from onnx_evoq.model.graph import names_in_use, reader_counts, unused_name

Splits: TypeAlias = Mapping[str, Sequence[int]]
Values: TypeAlias = NDArray[np.floating]


def outliers(model: ModelProto) -> dict[str, Indices]:
    """The channels of each layer that can be expanded, the largest outliers first.

    How far out a channel c lies is the largest `|W2[:, c]| / max|W2|` of the layers that read it,
    with weights W2: splitting the first channels of the order is what shrinks their range.

    Args:
        model: a model as `load` returns it.

    Returns:
        weight -> (channels,) indices of its output channels, those that lie as far out in order.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = {node.output[0]: node for node in model.graph.node if node.output}
    orders = {}
    for name, layer_ in splittable_layers(model)[0].items():
        farthest = np.zeros(layer_.channels)
        for part in layer_.slices:
            if part.halved:
                tensor = tensors[nodes[part.node].input[part.input]]
                size = np.abs(numpy_helper.to_array(tensor)).astype(np.float64)
                of_columns = np.moveaxis(size, part.axis, 0).reshape(size.shape[part.axis], -1)
                end = part.start + layer_.channels * part.block
                of_channels = of_columns[part.start : end].reshape(layer_.channels, -1)
                farthest = np.maximum(farthest, of_channels.max(axis=1) / (size.max() or 1.0))
        orders[name] = np.argsort(-farthest, kind="stable")
    return orders


class Reader(NamedTuple):
    """A layer that reads the channels of another.

    Attributes:
        weight: its weight.
        axis: of that weight, along which its inputs lie.
        start: where the channels begin there.
        block: how many entries in a row belong to one channel.
    """

    weight: str
    axis: int
    start: int
    block: int


def readers_of(model: ModelProto) -> dict[str, list[Reader]]:
    """The layers that read the channels of each layer that can be expanded, by its weight.

    Args:
        model: a model as `load` returns it.
    """
    nodes = {node.output[0]: node for node in model.graph.node if node.output}
    return {
        name: [
            Reader(nodes[part.node].input[part.input], part.axis, part.start, part.block)
            for part in layer_.slices
            if part.halved
        ]
        for name, layer_ in splittable_layers(model)[0].items()
    }


def bytes_per_copy(model: ModelProto) -> dict[str, int]:
    """What a copy of a channel adds besides its codes, by the weight of each expandable layer.

    That is its bias, and what other constants hold for it. (A constant that several nodes read gets
    a copy for itself, which is not counted.)

    Args:
        model: a model as `load` returns it.
    """
    nodes = {node.output[0]: node for node in model.graph.node if node.output}
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    found = {}
    for name, layer_ in splittable_layers(model)[0].items():
        constants = [
            (values[nodes[part.node].input[part.input]], part)
            for part in layer_.slices
            if not part.halved and nodes[part.node].input[part.input] != name
        ]
        found[name] = sum(
            array.nbytes // array.shape[part.axis] * part.block for array, part in constants
        )
    return found


def first_of(order: Indices, share: float) -> tuple[int, ...]:
    """The channels to split, if a share of a layer's are: the first `ceil(share * channels)`.

    Args:
        order: the layer's channels, those to split first first, as `outliers` gives them.
        share: between 0 and 1.

    Example:
        >>> first_of(np.array([2, 0, 1, 4, 3]), 1 / 4)
        (2, 0)
    """
    return tuple(order[: ceil(share * len(order))].tolist())


def splits_of(
    shares: Mapping[str, float], orders: Mapping[str, Indices]
) -> dict[str, tuple[int, ...]]:
    """The channels to split, if a share of each layer's are.

    Args:
        shares: weight -> share between 0 and 1.
        orders: weight -> its channels, those to split first first, as `outliers` gives them.

    Raises:
        ValueError: a share is none, or a weight has no order.

    Example:
        >>> splits_of({"w": 1 / 4, "v": 0}, {"w": np.array([2, 0, 1, 4, 3]), "v": np.array([0])})
        {'w': (2, 0), 'v': ()}
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"the share of channels of {name!r} must lie in [0, 1], not {share}")
        if name not in orders:
            raise ValueError(f"the channels of {name!r} cannot be split")
    return {name: first_of(orders[name], share) for name, share in shares.items()}


def with_split_channels(model: ModelProto, splits: Splits) -> ModelProto:
    """A copy of `model` with more channels that computes the same.

    Args:
        model: a model as `load` returns it, BatchNormalization folded.
        splits: weight -> the output channels to duplicate, each once.

    Raises:
        ValueError: a weight's channels cannot be split, or there are no such ones.

    Example:
        >>> from onnx import parser
        >>> model = parser.parse_model('''
        ...     <ir_version: 8, opset_import: ["" : 17]>
        ...     net (float[1, 1] x) => (float[1, 1] y)
        ...     <float[1, 2] w = {1, 2}, float[2, 1] v = {3, 4}>
        ...     { a = MatMul(x, w)  b = Relu(a)  y = MatMul(b, v) }''')
        >>> expanded = with_split_channels(model, {"w": [1]})
        >>> [numpy_helper.to_array(t).ravel().tolist() for t in expanded.graph.initializer]
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
    expanded = ModelProto()
    expanded.CopyFrom(model)
    _rewrite(expanded.graph, [allowed[name] for name in chosen], chosen)
    stale = {name for weight in chosen for name in allowed[weight].carriers}
    for value in [value for value in expanded.graph.value_info if value.name in stale]:
        expanded.graph.value_info.remove(value)
    return expanded


def _rewrite(graph: GraphProto, layers: Sequence[SplittableLayer], splits: Splits) -> None:
    """Duplicate what belongs to a channel in all constants, in place."""
    found: dict[tuple[str, int], list[_Split]] = defaultdict(list)  # by node and input
    for layer in layers:
        for part in layer.slices:
            split = _Split(part, layer.channels, splits[layer.weight])
            found[part.node, part.input].append(split)
    nodes = {node.output[0]: node for node in graph.node if node.output}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    counts, used = reader_counts(graph), names_in_use(graph)
    for (output, position), here in found.items():
        names = nodes[output].input
        old = tensors[names[position]]
        values = numpy_helper.to_array(old)
        for axis in {split.part.axis for split in here}:
            values = _expanded(values, axis, [split for split in here if split.part.axis == axis])
        if counts[old.name] == 1:
            old.CopyFrom(numpy_helper.from_array(values, old.name))
        else:  # others go on with the old one
            counts[old.name] -= 1
            names[position] = unused_name(f"{old.name}_expanded", used)
            graph.initializer.append(numpy_helper.from_array(values, names[position]))


class _Split(NamedTuple):
    """Channels to duplicate in a constant, of as many as there are."""

    part: ChannelSlice
    of: int
    channels: Sequence[int]


def _expanded(values: Values, axis: int, splits: Sequence[_Split]) -> Values:
    """`values` with copies along `axis`, for layers whose channels lie there side by side."""
    size = values.shape[axis]
    factors = np.ones(size, values.dtype)
    copied: list[int] = []  # which entries, and in front of which one each copy comes
    before: list[int] = []
    for part, count, channels in splits:
        for channel in channels:
            start = part.start + channel * part.block
            entries = range(start, start + part.block)
            copied.extend(entries)
            before.extend([part.start + count * part.block] * part.block)
            if part.halved:
                factors[entries] = 0.5
    order = np.insert(np.arange(size), before, copied)  # all places as they are before
    shape = (-1, *[1] * (values.ndim - 1 - axis))
    return values.take(order, axis) * factors[order].reshape(shape)
