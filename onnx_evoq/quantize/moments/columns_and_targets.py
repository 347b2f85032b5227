"""A layer's columns and targets, kept so that the targets can be replaced."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.moments.activation import Activation
from onnx_evoq.quantize.moments.heldout_losses import HeldoutLosses
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.sample_chunk import SampleChunk, joined, transposed
from onnx_evoq.quantize.moments.sums_of_chunk import ChunkSums, TargetSums
from onnx_evoq.quantize.moments.targets_behind import TargetsBehind


class Elsewhere(Protocol):
    """Knows where the chunks of a layer are that are not in this process."""

    def target_sums(self, behind: TargetsBehind) -> Iterable[TargetSums]:
        """The sums of all chunks with other targets, in the order in which their sums came."""
        ...

    def heldout_losses(self, losses: HeldoutLosses) -> Iterable[Float64Array]:
        """The losses on each chunk that judges by itself, in the order of the samples."""
        ...


class LayerSamples:
    """A layer's columns and targets, with their second moments.

    Attributes:
        centred: whether the means are subtracted, as for a layer with a bias, at each use of its
            weight.
        activations: what reads the layer's output there; None if there is none.
        sums: the moments; without chunks if `few`.

    Args:
        centred: as above, or for its only use.
        activation: what reads the layer's output at its only use.
        few: whether there are so few positions that all are kept, and no moments are gathered.
        heldout: whether some chunks only judge.
        keeps_judges: whether these judge by themselves, and their moments are not gathered; of few
            positions, they do.
        activations: of all uses, if there are several.
        elsewhere: where chunks are that came by their sums (`add_sums`, `add_judges`).
    """

    def __init__(
        self,
        centred: bool | Sequence[bool],
        activation: Activation | None = None,
        *,
        few: bool = False,
        heldout: bool = False,
        keeps_judges: bool = False,
        activations: Sequence[Activation | None] = (),
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.centred = (centred,) if isinstance(centred, bool) else tuple(centred)
        self.activations = tuple(activations) or (activation,) * len(self.centred)
        self.sums = MomentSums(self.centred, heldout=heldout)
        self._few = few
        self._keeps_judges = few or keeps_judges
        self._elsewhere = elsewhere
        self._kinds: list[tuple[bool, int]] = []  # of the chunks in the moments, as they came
        self._judges: list[SampleChunk] = []
        self._judged, self._judges_finite = 0, True
        self._chunks: list[SampleChunk] = []  # minus the origin of the moments, if there are any

    def add(self, *chunks: SampleChunk) -> None:
        """Add chunks of one kind and use as one; it is kept if few, or if there is an activation.

        Args:
            chunks: one or more.
        """
        if chunks[0].heldout and self._keeps_judges:
            judges = joined(chunks)
            self._judges.append(judges)
            self.add_judges(judges.columns.shape[1], finite=judges.finite)
            return
        if self._few:
            self._chunks.append(joined(chunks))
            return
        use = chunks[0].use
        self.sums.start([each.columns for each in chunks], [each.targets for each in chunks], use)
        chunk = joined(chunks, self.sums.origin(use))
        self.sums.add_from_origin(chunk.columns, chunk.targets, heldout=chunk.heldout, use=use)
        self._kinds.append((chunk.heldout, use))
        if self.hides_errors:
            self._chunks.append(chunk)

    def add_sums(self, sums: ChunkSums, *, heldout: bool, use: int) -> None:
        """Add a chunk that is elsewhere by its sums; its origin was set before (`sums`)."""
        self.sums.add_sums(sums, heldout=heldout, use=use)
        self._kinds.append((heldout, use))

    def add_judges(self, positions: int, *, finite: bool) -> None:
        """Take in a chunk that judges by itself, elsewhere.

        Args:
            positions: how many it has.
            finite: whether its values are (`SampleChunk.finite`).
        """
        self._judged += positions
        self._judges_finite = self._judges_finite and finite

    @property
    def hides_errors(self) -> bool:
        """Whether an activation reads the output at some use."""
        return any(activation is not None for activation in self.activations)

    @property
    def few(self) -> bool:
        """Whether all positions are kept, and no moments are gathered."""
        return self._few

    @property
    def count(self) -> int:
        """The number of positions, without those that only judge."""
        return sum(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """That number at each use of the weight."""
        if not self._few:
            return self.sums.counts
        return tuple(
            sum(chunk.columns.shape[1] for chunk in self._chunks if chunk.use == use)
            for use in range(len(self.activations))
        )

    @cached_property
    def together(self) -> tuple[SampleChunk, ...]:
        """All columns and targets but those that only judge, by use, if few; one may be empty."""
        self._chunks = self._by_use(self._chunks)  # in place of parts that take as much memory
        return tuple(self._chunks)

    @property
    def judges(self) -> int:
        """The number of positions that judge by themselves; their moments are not gathered."""
        return self._judged

    def heldout_losses(self, losses: HeldoutLosses) -> list[float]:
        """The losses of some weights on the samples that judge by themselves, of each weight."""
        if self._elsewhere is None:
            found: Iterable[Float64Array] = (losses.of(judges) for judges in self._judges)
        else:
            found = self._elsewhere.heldout_losses(losses)
        total: list[float] = sum(found, np.zeros(len(losses.weights))).tolist()
        return total

    def _by_use(self, chunks: Sequence[SampleChunk]) -> list[SampleChunk]:
        """The chunks of each use as one."""
        return [
            joined([c for c in chunks if c.use == k] or [_without_positions(chunks[0], k)])
            for k in range(len(self.activations))
        ]

    @property
    def finite(self) -> bool:
        """Whether all values and their products are in the range of float32."""
        if not self._judges_finite:
            return False
        return all(chunk.finite for chunk in self._chunks) if self._few else self.sums.finite

    def moments_behind_activation(self, weight: Float64Array, bias: Float64Array) -> MomentSums:
        """The moments for targets that leave errors to the activation that hides them.

        Args:
            weight: the layer's current weight, (groups, rows, columns).
            bias: the layer's current bias, (groups, rows), or (uses, groups, rows).
        """
        if not self.hides_errors:
            return self.sums
        biases = bias.reshape(-1, *weight.shape[:2])  # (uses, groups, rows)
        added = np.zeros((*biases.shape[:2], 1, biases.shape[2]), np.float32)
        for use in {use for _, use in self._kinds}:
            origin = self.sums.origin(use)
            added[use, :, 0] = biases[use] + (weight @ origin[:, :, None])[:, :, 0]
        behind = TargetsBehind(transposed(weight), added, self.activations)
        sums: Iterable[TargetSums]
        if self._elsewhere is None:
            sums = (behind.sums(each, self.sums.origins(each.use)[1]) for each in self._chunks)
        else:
            sums = self._elsewhere.target_sums(behind)
        return self.sums.with_targets(
            (each, *kind) for each, kind in zip(sums, self._kinds, strict=True)
        )


def _without_positions(chunk: SampleChunk, use: int) -> SampleChunk:
    columns, targets = chunk.columns[:, :0], chunk.targets[:, :0]
    return SampleChunk(columns, targets, None, chunk.heldout, use)
