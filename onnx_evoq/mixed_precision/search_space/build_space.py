"""Builds the search space of a model: which channels can be split, and what each choice costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnx_evoq.array_types import Indices
from onnx_evoq.mixed_precision.search_space.space import SPLIT_SHARES, Part, Space
from onnx_evoq.model import (
    ChannelReader,
    Model,
    Weight,
    bytes_besides,
    bytes_per_copy,
    channel_readers,
    channels_to_split,
    outlier_orders,
)
from onnx_evoq.quantize import QuantizedWeight, Scale, packed_size, packed_steps
from onnx_evoq.setup import Granularity


@dataclass(frozen=True)
class SearchSpaceOptions:
    """What a search may choose, and which size it minimises.

    Attributes:
        expansion: whether channels may be split.
        per_channel: whether groups of a layer's channels have widths of their own, where channels
            have steps of their own.
        in_file: whether the size of the file is minimised, instead of the packed size.
        granularities: one step per tensor, one per channel, or both; uniform widths have the first.
    """

    expansion: bool = True
    per_channel: bool = False
    in_file: bool = False
    granularities: tuple[Granularity, ...] = ("tensor",)


@dataclass(frozen=True, eq=False)
class ChannelSplits:
    """The layers whose channels can be split, and the layers that read them.

    Attributes:
        blocks: the weights whose channels are split together.
        readers: the layers that read each weight's channels.
        orders: the channels of each weight, in the order in which they are split.
    """

    blocks: Sequence[Sequence[str]]
    readers: Mapping[str, Sequence[ChannelReader]]
    orders: Mapping[str, Indices]

    @cached_property
    def sources(self) -> dict[str, list[tuple[str, ChannelReader]]]:
        """By weight: the layers that it reads and that can be split, and how it reads each."""
        sources: dict[str, list[tuple[str, ChannelReader]]] = {}
        for block in self.blocks:
            for name in block:
                for reader in self.readers[name]:
                    sources.setdefault(reader.weight, []).append((name, reader))
        return sources

    def input_entries(self, weight: str, share: float) -> list[int]:
        """The entries along a weight's input axis that are split with a share of the channels.

        Args:
            weight: the name of the weight that reads the channels.
            share: of the channels of each layer that it reads, between 0 and 1.
        """
        return [
            reader.start + channel * reader.block + entry
            for source, reader in self.sources.get(weight, ())
            for channel in channels_to_split(self.orders[source], share)
            for entry in range(reader.block)
        ]


def find_splits(model: Model, weights: Sequence[Weight], expansion: bool) -> ChannelSplits:
    """The layers of a model whose channels a search may split; none without expansion."""
    readers = channel_readers(model)
    blocks = find_blocks(readers, [weight.name for weight in weights]) if expansion else []
    return ChannelSplits(blocks, readers, outlier_orders(model))


def find_blocks(
    readers: Mapping[str, Sequence[ChannelReader]], names: Sequence[str]
) -> list[list[str]]:
    """The weights whose channels can be split; weights that one layer reads are one block.

    Args:
        readers: the layers that read each weight's channels, as `channel_readers` gives them.
        names: the weights that are quantized. A weight that a float layer reads is in no block.

    Example:
        >>> one, other = ChannelReader("c", 1, 0, 1), ChannelReader("d", 1, 0, 1)
        >>> find_blocks({"a": [one], "b": [one], "c": [other]}, ["a", "b", "c", "d"])
        [['a', 'b'], ['c']]
    """
    blocks: list[list[str]] = []
    block_of_reader: dict[str, list[str]] = {}
    for name, own_readers in readers.items():
        if name not in names or any(reader.weight not in names for reader in own_readers):
            continue
        block = [name]
        for reader in own_readers:
            other = block_of_reader.get(reader.weight)
            if other is not None and other[0] not in block:
                block = [*other, *block]
                blocks.remove(other)
        blocks.append(block)
        for member in block:
            for reader in readers[member]:
                block_of_reader[reader.weight] = block
    return blocks


def build_space(
    model: Model,
    weights: Sequence[Weight],
    groups: Mapping[str, Sequence[Indices]],
    splits: ChannelSplits,
    scale: Scale,
    options: SearchSpaceOptions,
    behind: Mapping[str, QuantizedWeight] | None = None,
) -> Space:
    """The search space of a model.

    Args:
        model: the float model; each layer has a bias of its own.
        weights: the weights that are quantized, in the graph's order.
        groups: the groups of channels of the weights that have several parts, by name.
        splits: the channels that may be split.
        scale: steps that are powers of two, or any.
        options: what the search may choose.
        behind: weights that nothing scores, with the codes that they have in any case.
    """
    given = behind or {}
    fixed_bytes = bytes_besides(model, {*given, *(weight.name for weight in weights)})
    for codes, grid in given.values():
        fixed_bytes += packed_size(codes.size, grid.bits) + packed_steps(grid)
    copy_bytes = bytes_per_copy(model)
    parts = [
        part
        for weight in weights
        for part in _parts(
            weight, groups.get(weight.name) or [None], splits, copy_bytes.get(weight.name, 0)
        )
    ]
    several = len(options.granularities) > 1
    return Space(
        tuple(parts),
        tuple(tuple(block) for block in splits.blocks),
        splits.orders,
        fixed_bytes,
        options.in_file,
        options.granularities,
        tuple(weight.name for weight in weights if several and weight.axis is not None),
        1 if scale == "pow2" and not options.in_file else 4,
    )


def _parts(
    weight: Weight,
    groups: Sequence[Indices | None],
    splits: ChannelSplits,
    bytes_per_copy: int,
) -> list[Part]:
    """The parts of one weight, a part for each group of its channels; None is the whole weight."""
    name = weight.name
    block_of = {member: index for index, block in enumerate(splits.blocks) for member in block}
    split = [
        channels_to_split(splits.orders[name], share) if name in block_of else ()
        for share in SPLIT_SHARES
    ]
    sources = splits.sources.get(name, [])
    channels = 1 if weight.axis is None else weight.shape[weight.axis]
    columns = weight.values.size // channels
    input_block = -1
    added = [0] * len(SPLIT_SHARES)
    if sources:
        source, reader = sources[0]
        input_block = block_of[source]
        entries = weight.shape[reader.axis]
        added = [
            len(splits.input_entries(name, share)) * weight.values.size // entries // channels
            for share in SPLIT_SHARES
        ]
    return [
        Part(
            name,
            group,
            channels if group is None else len(group),
            columns,
            tuple(len(s) if group is None else int(np.isin(s, group).sum()) for s in split),
            bytes_per_copy,
            block_of.get(name, -1),
            input_block,
            tuple(added),
        )
        for group in groups
    ]
