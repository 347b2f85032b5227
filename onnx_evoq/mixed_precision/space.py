"""What a search among widths and expansions may choose, as genomes of integers.

1. A genome has a gene for each part of a weight: the place of its width among the widths. A part is
   the whole weight; per channel it is a group of its output channels, the ones that mind rounding
   most in the first group.
2. Behind them it has a gene for each block of layers whose channels can be split: the place of the
   share among the shares. Layers that one layer reads side by side are one block.
3. Behind these, where that may be chosen, it has a gene for each weight with a channel axis: 0 for
   one step, 1 for a step per channel. With one step, a weight has one width: its first part's.
4. The packed size of a genome is that of the model that it stands for, to the byte: of each
   weight's codes at their widths, in whole bytes, of its steps, and of what copies of channels add.
   By file, codes count at the widths that types have; names, nodes and metadata do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Indices
from onnx_evoq.model import ChannelReader, Weight, channels_to_split
from onnx_evoq.setup import Granularity, Policy

Genome = NDArray[np.int64]

WIDTHS = (2, 3, 4, 5, 6, 7, 8)
SPLIT_SHARES = (0.0, 1 / 16, 1 / 8)
_FILE_BITS = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 8: 8}  # of the types that a file has


@dataclass(frozen=True, eq=False)
class Part:
    """Output channels of a weight that have one width.

    Attributes:
        weight: its name.
        channels: along the weight's axis; None for all of it.
        rows: how many codes lie along that axis.
        columns: how many codes each of these has.
        copies: for each share, how many of its channels are split.
        per_copy: bytes that a copy adds besides its codes and its step: its bias.
        block: the gene of these splits, counted from the first block; -1 for none.
        source: the block whose splits the weight reads; -1 for none.
        wider: for each share of that, how many columns are added.
    """

    weight: str
    channels: Indices | None
    rows: int
    columns: int
    copies: tuple[int, ...]
    per_copy: int
    block: int
    source: int
    wider: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Space:
    """The choices.

    Attributes:
        parts: of the weights, in the graph's order.
        blocks: weights whose channels are split together.
        orders: the channels of these, those to split first first.
        channels: how many channels each weight that has several parts has.
        fixed: bytes of all that no choice changes.
        in_file: whether codes count at the width that a file stores them with.
        kinds: the granularities that there are.
        free: weights that may have either, where there are two; the others have the first one.
        step_bytes: what a step takes.
    """

    parts: tuple[Part, ...]
    blocks: tuple[tuple[str, ...], ...]
    orders: Mapping[str, Indices]
    channels: Mapping[str, int]
    fixed: int
    in_file: bool = False
    kinds: tuple[Granularity, ...] = ("tensor",)
    free: tuple[str, ...] = ()
    step_bytes: int = 4

    @property
    def choices(self) -> list[int]:
        """How many each gene has."""
        widths, shares = [len(WIDTHS)] * len(self.parts), [len(SPLIT_SHARES)] * len(self.blocks)
        return [*widths, *shares, *[len(self.kinds)] * len(self.free)]

    def uniform(self, bits: int) -> Genome:
        """One width, nothing split, steps as usual."""
        genome = np.zeros(len(self.choices), np.int64)
        genome[: len(self.parts)] = WIDTHS.index(bits)
        return genome

    def kind(self, genome: Genome, weight: str) -> int:
        """The place of a weight's granularity among the kinds."""
        if weight not in self.free:
            return 0
        return int(genome[len(self.parts) + len(self.blocks) + self.free.index(weight)])

    def set_kind(self, genome: Genome, weight: str, kind: int) -> None:
        """Give a weight that granularity, if it may have either."""
        if weight in self.free:
            genome[len(self.parts) + len(self.blocks) + self.free.index(weight)] = kind

    @cached_property
    def indices(self) -> dict[str, list[int]]:
        """The places of each weight's parts."""
        indices: dict[str, list[int]] = {}
        for index, part in enumerate(self.parts):
            indices.setdefault(part.weight, []).append(index)
        return indices

    def stored(self, part: Part, width: int) -> int:
        """The bits of a part's codes, without copies."""
        return part.rows * part.columns * (_FILE_BITS[width] if self.in_file else width)

    def genes(self, genome: Genome) -> NDArray[np.int64]:
        """(parts,) the place of each part's width: one of a weight that has one step."""
        genes = genome[: len(self.parts)].copy()
        for index in range(1, len(genes)):
            weight = self.parts[index].weight
            if weight == self.parts[index - 1].weight and not self.stepped(genome, weight):
                genes[index] = genes[index - 1]
        return genes

    def stepped(self, genome: Genome, weight: str) -> bool:
        """Whether each channel of a weight has a step."""
        return self.kinds[self.kind(genome, weight)] == "channel"

    def share_of(self, genome: Genome, block: int) -> int:
        """The place of a block's share; 0 for no block."""
        return 0 if block < 0 else int(genome[len(self.parts) + block])

    def size(self, genome: Genome) -> int:
        """Bytes of the model."""
        bits = self.widths(genome)
        if self.in_file:
            widest: dict[str, int] = {}
            for part, width in zip(self.parts, bits, strict=True):
                widest[part.weight] = max(widest.get(part.weight, 0), _FILE_BITS[width])
            bits = [widest[part.weight] for part in self.parts]
        of_codes: dict[str, int] = {}  # bits, by weight
        others = self.fixed
        for part, width in zip(self.parts, bits, strict=True):
            copies = part.copies[self.share_of(genome, part.block)]
            columns = part.columns + part.wider[self.share_of(genome, part.source)]
            one = int(part.weight not in of_codes)  # step of the weight, counted once
            steps = part.rows + copies if self.stepped(genome, part.weight) else one
            codes = (part.rows + copies) * columns
            of_codes[part.weight] = of_codes.get(part.weight, 0) + codes * width
            others += copies * part.per_copy + steps * self.step_bytes
        return others + sum(-(-count // 8) for count in of_codes.values())

    def widths(self, genome: Genome) -> list[int]:
        """The width of each part."""
        return [WIDTHS[gene] for gene in self.genes(genome)]

    def policy(self, genome: Genome) -> Policy:
        """What a genome stands for."""
        bits: dict[str, int | tuple[int, ...]] = {}
        shares = {
            name: SPLIT_SHARES[self.share_of(genome, index)]
            for index, block in enumerate(self.blocks)
            for name in block
        }
        for part, width in zip(self.parts, self.widths(genome), strict=True):
            if part.channels is None or not self.stepped(genome, part.weight):
                bits[part.weight] = width
                continue
            several = np.array(bits.get(part.weight, (0,) * self.channels[part.weight]))
            several[part.channels] = width
            bits[part.weight] = tuple(several.tolist())
        for name, width_of in bits.items():
            if not isinstance(width_of, int) and shares.get(name):  # copies lie behind
                first = channels_to_split(self.orders[name], shares[name])
                bits[name] = width_of + tuple(width_of[channel] for channel in first)
        return Policy(
            bits,
            {name: share for name, share in shares.items() if share},
            {name: self.kinds[self.kind(genome, name)] for name in bits},
        )


def blocks_of(
    readers: Mapping[str, Sequence[ChannelReader]], names: Sequence[str]
) -> list[list[str]]:
    """The weights whose channels can be split, those that a layer reads side by side together.

    Args:
        readers: as `channel_readers` gives them.
        names: weights that are quantized; a layer that others read, too, cannot be split.
    """
    blocks: list[list[str]] = []
    by_reader: dict[str, list[str]] = {}
    for name, layers in readers.items():
        if name not in names or any(reader.weight not in names for reader in layers):
            continue
        joined = [name]
        for reader in layers:
            met = by_reader.get(reader.weight)
            if met is not None and met[0] not in joined:
                joined = [*met, *joined]
                blocks.remove(met)
        blocks.append(joined)
        for member in joined:
            for reader in readers[member]:
                by_reader[reader.weight] = joined
    return blocks


def space_of(
    weights: Sequence[Weight],
    groups: Mapping[str, Sequence[Indices]],
    blocks: Sequence[Sequence[str]],
    readers: Mapping[str, Sequence[ChannelReader]],
    orders: Mapping[str, Indices],
    per_copy: Mapping[str, int],
    fixed: int,
    in_file: bool,
    kinds: Sequence[Granularity],
    free: Sequence[str],
    step_bytes: int,
) -> Space:
    """The choices for a model.

    Args:
        weights: what is quantized, in the graph's order.
        groups: the groups of channels of those that have several.
        blocks: as `blocks_of` gives them.
        readers: as `channel_readers` gives them.
        orders: as `outlier_orders` gives them.
        per_copy: bytes that a copy of a channel adds besides its codes and step, by weight.
        fixed: bytes of all that no choice changes.
        in_file: whether the file's size counts, instead of the packed one.
        kinds: the granularities that there are.
        free: weights that may have either, where there are two.
        step_bytes: what a step takes.
    """
    block_of = {name: index for index, block in enumerate(blocks) for name in block}
    read: dict[str, list[tuple[str, ChannelReader]]] = {}
    for name in block_of:
        for reader in readers[name]:
            read.setdefault(reader.weight, []).append((name, reader))
    parts = []
    for weight in weights:
        name = weight.name
        split = [
            channels_to_split(orders[name], s) if name in block_of else () for s in SPLIT_SHARES
        ]
        entries = [
            sum(
                len(channels_to_split(orders[other], s)) * reader.block
                for other, reader in read.get(name, ())
            )
            for s in SPLIT_SHARES
        ]
        axis_in = read[name][0][1].axis if name in read else None
        per_entry = 0 if axis_in is None else weight.values.size // weight.shape[axis_in]
        source = block_of[read[name][0][0]] if name in read else -1
        channels = 1 if weight.axis is None else weight.shape[weight.axis]
        several: Sequence[Indices | None] = groups.get(name) or [None]
        for group in several:
            rows = channels if group is None else len(group)
            parts.append(
                Part(
                    name,
                    group,
                    rows,
                    weight.values.size // channels,
                    tuple(len(s) if group is None else int(np.isin(s, group).sum()) for s in split),
                    per_copy.get(name, 0),
                    block_of.get(name, -1),
                    source,
                    tuple(count * per_entry // channels for count in entries),
                )
            )
    return Space(
        tuple(parts),
        tuple(tuple(block) for block in blocks),
        orders,
        {name: sum(len(group) for group in several) for name, several in groups.items()},
        fixed,
        in_file,
        tuple(kinds),
        tuple(free),
        step_bytes,
    )
