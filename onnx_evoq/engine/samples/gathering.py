"""What is gathered of a layer: at how many positions, of which uses of its weight."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.samples.at_layer import (
    AtLayer,
    chunk_of,
    entries_of,
    has_positions,
    is_residual,
    positions_of,
    shape_at,
)
from onnx_evoq.quantize import (
    FULL,
    MANY_COLUMNS,
    Activation,
    Elsewhere,
    LayerSamples,
    SampleChunk,
    in_space_of_positions,
)

POSITIONS = FULL.positions  # of all samples together, at most, that moments are gathered from
_MOMENT_PRODUCTS = 2e11  # the most products per matrix, which wide layers pay with fewer positions
KEPT_VALUES = 2**26  # the most values of columns and targets that are kept
_LEAST_POSITIONS, _POSITIONS_PER_COLUMN = 4_096, 64  # enough for few columns
_JUDGED_PER_COLUMN = 16  # positions for each column that choose a damping


def positions_for(positions: int, shape: tuple[int, int, int], kept: int = KEPT_VALUES) -> float:
    """How many positions of all samples a layer's moments are gathered from, at most.

    Few columns need fewer positions, and wide layers and those of many groups get fewer, to save
    time and memory.

    Args:
        positions: how many are wanted for a usual layer.
        shape: (groups, rows, columns) of the layer's matrix.
        kept: the most values of columns and targets that are kept.
    """
    groups, rows, width = shape
    enough = max(_LEAST_POSITIONS, _POSITIONS_PER_COLUMN * width)
    most = min(_MOMENT_PRODUCTS / width**2, kept / (groups * (width + 2 * rows)))
    return min(positions, enough, most)


class TensorSource(Protocol):
    """Gives the tensors at a layer, batch by batch; from several threads at a time."""

    def of(self, index: int) -> Arrays:
        """The tensors of a batch, by name; or what has their types and shapes."""
        ...


@dataclass(frozen=True, eq=False)
class Around:
    """The tensors around a layer.

    Attributes:
        inputs: the tensors `layer.read` of the model with the weights before the layer quantized.
        outputs: the tensors `layer.given` of the float model.
        batches: the samples; those of both sources, in their order.
        heldout: the numbers of those batches that only judge what the others give.
        of: how many batches there are in all, of which these are the first; 0 for no others.
    """

    inputs: TensorSource
    outputs: TensorSource
    batches: Sequence[Batch]
    heldout: Collection[int] = ()
    of: int = 0


@dataclass(frozen=True, eq=False)
class Use:
    """A use of the weight.

    Attributes:
        source: the layer.
        number: of the use.
        residual: whether the target is a residual sum.
        positions: of a sample, for each of its input values.
    """

    source: AtLayer
    number: int
    residual: bool
    positions: float

    def entries(self, batch: Batch, targets: Arrays) -> float:
        """The entries of each sample of a batch."""
        return entries_of(self.source.layer, shape_at(self.source, targets), batch)


@dataclass(frozen=True, eq=False)
class Gathering:
    """How columns and targets of a weight's layers are gathered, from any batch by itself.

    Of several layers with one weight, each has as large a share of the samples as it has of all
    positions.

    Attributes:
        uses: of the weight, which have positions on some sample.
        most: positions of all samples that are fitted to, at most.
        fitted: the input values of these samples: a sample counts by its length.
        judges: those of the samples that only judge.
        judged: positions of the latter.
        centred: whether the means are subtracted, at each use.
        activations: of each use.
        heldout: whether some batches only judge.
        keeps_judges: whether those that only judge are kept as they are, and not in moments.
        few: whether there are so few positions that all are kept, and no moments are gathered.
    """

    uses: Sequence[Use]
    most: float
    fitted: int
    judges: int
    judged: int
    centred: Sequence[bool]
    activations: Sequence[Activation | None]
    heldout: bool
    keeps_judges: bool
    few: bool = False

    def chunks(
        self, batch: Batch, tensors: Arrays, targets: Arrays, seed: int, *, heldout: bool
    ) -> list[SampleChunk]:
        """The columns and targets of a batch, of each use that has positions there.

        Args:
            batch: the samples.
            tensors: of the quantized model.
            targets: of the float model.
            seed: of the positions.
            heldout: whether the batch only judges.
        """
        found = []
        for use in self.uses:
            if not has_positions(use.source, tensors, targets):
                continue
            wanted = self.wanted(use, batch, targets, heldout=heldout)
            chunk = chunk_of(
                use.source, batch, tensors, targets, seed + use.number, wanted,
                residual=use.residual, heldout=heldout,
            )  # fmt: skip
            found.append(replace(chunk, use=use.number))
        return found

    def wanted(self, use: Use, batch: Batch, targets: Arrays, *, heldout: bool) -> float:
        """How many positions of each entry of a batch are taken."""
        entries = use.entries(batch, targets)
        share = use.positions / sum(each.positions for each in self.uses)
        most = self.most * share * batch.length / (self.fitted * entries)
        if heldout:
            most = min(most, self.judged * share * batch.length / (self.judges * entries))
        return most

    def samples(self, elsewhere: Elsewhere | None = None) -> LayerSamples:
        """What columns and targets are added to; `elsewhere` is as for `LayerSamples`."""
        return LayerSamples(
            self.centred,
            activations=self.activations,
            few=self.few,
            heldout=self.heldout,
            keeps_judges=self.keeps_judges,
            elsewhere=elsewhere,
        )


def plan_gathering(
    sources: Sequence[AtLayer], around: Around, positions: int, kept: int, *, moments: bool
) -> Gathering | None:
    """How the columns and targets of a weight's layers are gathered.

    Args:
        sources: the layers with the weight.
        around: the tensors around them; their shapes are enough.
        positions: the most positions of all samples together.
        kept: the most values of columns and targets that are kept.
        moments: whether second moments are needed even if there are few positions.

    Returns:
        None if no output has positions on any sample.
    """
    width = sources[0].shape[2]
    seen = [_use_of(each, number, around) for number, each in enumerate(sources)]
    uses = [each for each in seen if each is not None]
    if not uses:
        return None
    values = [batch.length * batch.count for batch in around.batches]
    judges = sum(n for index, n in enumerate(values) if index in around.heldout)
    keeps_judges = width > MANY_COLUMNS
    judged = max(_LEAST_POSITIONS, 0 if keeps_judges else _JUDGED_PER_COLUMN * width)
    activations: list[Activation | None] = [None] * len(sources)
    for use, *_ in uses:
        layer = use.source.layer
        # Behind a sum, it reads the sum, the target of a residual branch.
        if layer.other is None or use.residual:
            activations[use.number] = layer.activation
    gathering = Gathering(
        [use for use, *_ in uses],
        positions_for(positions, sources[0].shape, min(kept, KEPT_VALUES)),
        sum(values) - judges,
        judges,
        judged,
        [each.layer.bias is not None for each in sources],
        activations,
        bool(around.heldout),
        keeps_judges,
    )

    def taken(use: Use, longest: Batch, targets: Arrays) -> int:
        """How many positions of a use are taken of all samples."""
        of_each = gathering.wanted(use, longest, targets, heldout=False)
        entries = use.entries(longest, targets) * gathering.fitted / longest.length
        return round(entries) * positions_of(use.source, targets, of_each)[1]

    few = not moments and in_space_of_positions(sum(taken(*each) for each in uses), width)
    return replace(gathering, few=few, keeps_judges=keeps_judges or few)


def _use_of(source: AtLayer, number: int, around: Around) -> tuple[Use, Batch, Arrays] | None:
    """The use at a layer, with the longest samples that have positions, and their targets.

    None if the output has no positions on any sample.
    """
    # In short samples, sizes may agree by chance: along an axis of 1 nothing is broadcast.
    for index in sorted(range(len(around.batches)), key=lambda k: -around.batches[k].length):
        batch = around.batches[index]
        tensors, targets = around.inputs.of(index), around.outputs.of(index)
        if has_positions(source, tensors, targets):
            shape = shape_at(source, targets)
            entries = entries_of(source.layer, shape, batch)
            positions = entries * source.layer.linear.positions(shape) / batch.length
            use = Use(source, number, is_residual(source, tensors, targets), positions)
            return use, batch, targets
    return None
