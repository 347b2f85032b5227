"""The search space: widths, split channels and granularities as genomes of integers.

1. A genome has a gene for each part of a weight: the index of its width in `WIDTHS`. A part is the
   whole weight, or one group of its output channels where groups have widths of their own.
2. Next it has a gene for each block of layers whose channels can be split: the index of the share
   in `SPLIT_SHARES`. Layers that one layer reads side by side are one block.
3. Last it has a gene for each weight whose granularity is searched: the index of the granularity.
   A weight with one step per tensor has one width, that of its first part.
4. The packed size of a genome is that of the built model, to the byte: the codes of each weight at
   their widths, in whole bytes, its steps, the copies of split channels, and all other tensors.
   The size in a file counts codes at the widths that ONNX types have, without names and nodes.

A genome is decoded once, into a `Choice`; sizes, policies and errors are functions of that value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Indices
from onnx_evoq.mixed_precision.search_space.policy import Policy
from onnx_evoq.model import channels_to_split
from onnx_evoq.setup import Granularity

Genome = NDArray[np.int64]

WIDTHS = (2, 3, 4, 5, 6, 7, 8)
REFERENCE_WIDTH = WIDTHS.index(4)  # the width whose errors are measured, and group channels
SPLIT_SHARES = (0.0, 1 / 16, 1 / 8)
_FILE_WIDTHS = (2, 4, 4, 8, 8, 8, 8)  # of the ONNX types that hold codes of `WIDTHS`


@dataclass(frozen=True, eq=False)
class Part:
    """Output channels of a weight that share one width.

    Attributes:
        weight: the weight's name.
        channels: their indices along the weight's axis; None for the whole weight.
        rows: how many channels there are.
        columns: how many codes each channel has.
        copies: for each share in `SPLIT_SHARES`, how many of these channels are split.
        bytes_per_copy: what a copy of a channel adds besides its codes and its step, e.g. a bias.
        block: index of the block that the weight's own channels are split with; -1 for none.
        input_block: index of the block whose channels the weight reads; -1 for none.
        added_columns: for each share of that block, how many columns its copies add.
    """

    weight: str
    channels: Indices | None
    rows: int
    columns: int
    copies: tuple[int, ...]
    bytes_per_copy: int
    block: int
    input_block: int
    added_columns: tuple[int, ...]


class Choice(NamedTuple):
    """A decoded genome: what each part of the weights gets.

    Attributes:
        widths: (parts,) indices in `WIDTHS`.
        granularities: (parts,) indices in `Space.granularities`.
        splits: (parts,) indices in `SPLIT_SHARES`, of the channels of the part's own layer.
        input_splits: (parts,) indices in `SPLIT_SHARES`, of the channels that the part reads.
    """

    widths: Indices
    granularities: Indices
    splits: Indices
    input_splits: Indices


@dataclass(frozen=True, eq=False)
class Space:
    """All choices that a search has.

    Attributes:
        parts: the parts of the weights, in the graph's order; those of one weight in a row.
        blocks: the weights whose channels are split together.
        orders: the channels of these weights, in the order in which they are split.
        fixed_bytes: the bytes of all tensors that no choice changes.
        in_file: whether codes count at the width that a file stores them with.
        granularities: the granularities that weights may have; the first one is the default.
        granularity_genes: the weights that have a gene for their granularity.
        step_bytes: the bytes of one step.
    """

    parts: tuple[Part, ...]
    blocks: tuple[tuple[str, ...], ...]
    orders: Mapping[str, Indices]
    fixed_bytes: int
    in_file: bool = False
    granularities: tuple[Granularity, ...] = ("tensor",)
    granularity_genes: tuple[str, ...] = ()
    step_bytes: int = 4

    @property
    def choices(self) -> list[int]:
        """How many values each gene may have."""
        widths = [len(WIDTHS)] * len(self.parts)
        shares = [len(SPLIT_SHARES)] * len(self.blocks)
        return [*widths, *shares, *[len(self.granularities)] * len(self.granularity_genes)]

    @cached_property
    def indices(self) -> dict[str, list[int]]:
        """The indices of each weight's parts."""
        indices: dict[str, list[int]] = {}
        for index, part in enumerate(self.parts):
            indices.setdefault(part.weight, []).append(index)
        return indices

    def encode(self, widths: Indices, granularities: Mapping[str, int]) -> Genome:
        """The genome of these choices, in which nothing is split.

        Args:
            widths: (parts,) indices in `WIDTHS`.
            granularities: index of each weight's granularity, by name.
        """
        genes = [granularities[name] for name in self.granularity_genes]
        return np.array([*widths, *[0] * len(self.blocks), *genes], np.int64)

    def uniform(self, bits: int) -> Genome:
        """The genome with one width for all, the first granularity, and nothing split."""
        widths = np.full(len(self.parts), WIDTHS.index(bits))
        return self.encode(widths, dict.fromkeys(self.indices, 0))

    def decode(self, genome: Genome) -> Choice:
        """What each part gets in a genome."""
        arrays, blocks_end = self._arrays, len(self.parts) + len(self.blocks)
        widths = genome[: len(self.parts)]
        # Index -1, of parts without such a gene, gives the 0 at the end.
        shares = np.append(genome[len(self.parts) : blocks_end], 0)
        granularities = np.append(genome[blocks_end:], 0)[arrays.granularity_gene]
        per_channel = arrays.per_channel[granularities]
        return Choice(
            np.where(per_channel, widths, widths[arrays.first_part]),
            granularities,
            shares[arrays.block],
            shares[arrays.input_block],
        )

    def size(self, choice: Choice) -> int:
        """The bytes of the model."""
        arrays, every = self._arrays, np.arange(len(self.parts))
        copies = arrays.copies[every, choice.splits]
        rows = arrays.rows + copies
        columns = arrays.columns + arrays.added_columns[every, choice.input_splits]
        widths = np.take(WIDTHS, choice.widths)
        if self.in_file:  # a file stores all channels as wide as the widest
            widest = np.maximum.reduceat(np.take(_FILE_WIDTHS, choice.widths), arrays.starts)
            widths = widest[arrays.weight]
        code_bits = np.add.reduceat(rows * columns * widths, arrays.starts)  # (weights,)
        first = every == arrays.first_part  # one step per tensor counts with the first part
        steps = np.where(arrays.per_channel[choice.granularities], rows, first)
        others = copies * arrays.bytes_per_copy + steps * self.step_bytes
        return int(self.fixed_bytes + (-(-code_bits // 8)).sum() + others.sum())

    def code_bits(self, part: Part, width: int) -> int:
        """The bits of a part's codes at a width (an index in `WIDTHS`), without copies."""
        return part.rows * part.columns * (_FILE_WIDTHS if self.in_file else WIDTHS)[width]

    def policy(self, choice: Choice) -> Policy:
        """The policy that a choice stands for."""
        first = {name: own[0] for name, own in self.indices.items()}
        granularity = {
            name: self.granularities[choice.granularities[index]] for name, index in first.items()
        }
        shares = {
            name: SPLIT_SHARES[choice.splits[first[name]]]
            for block in self.blocks
            for name in block
            if choice.splits[first[name]]
        }
        bits: dict[str, int | tuple[int, ...]] = {}
        for name, own in self.indices.items():
            if self.parts[own[0]].channels is None or granularity[name] == "tensor":
                bits[name] = WIDTHS[choice.widths[own[0]]]
                continue
            widths = np.empty(sum(self.parts[index].rows for index in own), np.int64)
            for index in own:
                widths[self.parts[index].channels] = WIDTHS[choice.widths[index]]
            copied = channels_to_split(self.orders[name], shares[name]) if name in shares else ()
            bits[name] = (*widths.tolist(), *widths[list(copied)].tolist())  # copies come last
        return Policy(bits, shares, granularity)

    @cached_property
    def _arrays(self) -> "_PartArrays":
        weights = list(self.indices)
        starts = np.array([own[0] for own in self.indices.values()])
        weight = np.array([weights.index(part.weight) for part in self.parts])
        genes = {name: index for index, name in enumerate(self.granularity_genes)}
        return _PartArrays(
            starts,
            weight,
            starts[weight],
            np.array([genes.get(part.weight, -1) for part in self.parts]),
            np.array([part.block for part in self.parts]),
            np.array([part.input_block for part in self.parts]),
            np.array([part.rows for part in self.parts]),
            np.array([part.columns for part in self.parts]),
            np.array([part.copies for part in self.parts]),
            np.array([part.added_columns for part in self.parts]),
            np.array([part.bytes_per_copy for part in self.parts]),
            np.array([own == "channel" for own in self.granularities]),
        )


class _PartArrays(NamedTuple):
    """The attributes of all parts as arrays, so that a genome is decoded without a loop.

    Attributes:
        starts: (weights,) index of each weight's first part.
        weight: (parts,) index of each part's weight.
        first_part: (parts,) index of the first part of the same weight.
        granularity_gene: (parts,) index among the genes for granularities; -1 for none.
        per_channel: (granularities,) whether each channel has a step.
    """

    starts: Indices
    weight: Indices
    first_part: Indices
    granularity_gene: Indices
    block: Indices
    input_block: Indices
    rows: Indices
    columns: Indices
    copies: Indices
    added_columns: Indices
    bytes_per_copy: Indices
    per_channel: NDArray[np.bool_]
