"""A layer's columns and targets, kept so that the targets can be replaced."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.moments.activation import Activation
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.sums_of_chunk import ChunkSums, TargetSums, target_sums


@dataclass(frozen=True, eq=False)
class SampleChunk:
    """A layer's columns and targets at some positions.

    Attributes:
        columns: x, (groups, positions, columns).
        targets: t, (groups, positions, rows).
        shift: what the model adds to the output before the activation, (groups, positions, rows);
            None if it adds nothing.
        heldout: whether it only judges what the others give.
        use: which of the model's uses of the weight it is of, if there are several.
    """

    columns: Float32Array
    targets: Float32Array
    shift: Float32Array | None = None
    heldout: bool = False
    use: int = 0


@dataclass(frozen=True, eq=False)
class TargetsBehind:
    """Targets that leave errors to the activation that hides them, for a layer's present weight.

    Attributes:
        weight: (groups, columns, rows), as columns are multiplied by it.
        added: (uses, groups, 1, rows), the layer's output at the origin of the columns.
        activations: of all uses of the weight.
    """

    weight: Float32Array
    added: Float32Array
    activations: Sequence[Activation | None]

    def sums(self, chunk: SampleChunk, origin: Float32Array) -> TargetSums:
        """The sums of a chunk with these targets.

        Args:
            chunk: its columns are those minus their origin.
            origin: of the targets, (groups, rows).
        """
        activation = self.activations[chunk.use]

        def targets(some: slice) -> Float32Array:
            if activation is None:
                return chunk.targets[:, some]
            outputs = chunk.columns[:, some] @ self.weight
            outputs += self.added[chunk.use]
            shift = None if chunk.shift is None else chunk.shift[:, some]
            return activation.targets(chunk.targets[:, some], outputs, shift)

        return target_sums(chunk.columns, targets, origin)


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
        keeps_judges: whether these are kept as they are, and their moments are not gathered.
        activations: of all uses, if there are several.
        elsewhere: gives the sums of all chunks that came by their sums (`add_sums`) with other
            targets, in their order.
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
        elsewhere: Callable[[TargetsBehind], Iterable[TargetSums]] | None = None,
    ) -> None:
        self.centred = (centred,) if isinstance(centred, bool) else tuple(centred)
        self.activations = tuple(activations) or (activation,) * len(self.centred)
        self.sums = MomentSums(self.centred, heldout=heldout)
        self._few = few
        self._keeps_judges = few or keeps_judges
        self._elsewhere = elsewhere
        self._kinds: list[tuple[bool, int]] = []  # of the chunks in the moments, as they came
        self._judges: list[SampleChunk] = []
        self._chunks: list[SampleChunk] = []  # minus the origin of the moments, if there are any

    def add(self, *chunks: SampleChunk) -> None:
        """Add chunks of one kind and use as one; it is kept if few, or if there is an activation.

        Args:
            chunks: one or more.
        """
        if chunks[0].heldout and self._keeps_judges:
            self._judges.append(joined(chunks))
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

    @cached_property
    def heldout(self) -> tuple[SampleChunk, ...]:
        """The columns and targets that only judge, by use, if they are kept; () for none."""
        self._judges = self._by_use(self._judges) if self._judges else []
        return tuple(self._judges)

    def _by_use(self, chunks: Sequence[SampleChunk]) -> list[SampleChunk]:
        """The chunks of each use as one."""
        return [
            joined([c for c in chunks if c.use == k] or [_without_positions(chunks[0], k)])
            for k in range(len(self.activations))
        ]

    @property
    def finite(self) -> bool:
        """Whether all values and their products are in the range of float32."""
        kept = [*self._judges, *(self._chunks if self._few else [])]
        both = [each for chunk in kept for each in (chunk.columns, chunk.targets)]
        finite = all(bool(np.isfinite(np.square(each).sum(axis=1)).all()) for each in both)
        return finite and (self._few or self.sums.finite)

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
            sums = self._elsewhere(behind)
        return self.sums.with_targets(
            (each, *kind) for each, kind in zip(sums, self._kinds, strict=True)
        )


def _without_positions(chunk: SampleChunk, use: int) -> SampleChunk:
    columns, targets = chunk.columns[:, :0], chunk.targets[:, :0]
    return SampleChunk(columns, targets, None, chunk.heldout, use)


def less_means(
    parts: Sequence[Float32Array], means_of: Sequence[Float32Array], centred: Sequence[bool]
) -> Float32Array:
    """Arrays of (groups, positions, n) as one, each minus the means of another where it is centred.

    Args:
        parts: of the uses of a weight; some may be empty.
        means_of: for each of them, that whose means over its positions are subtracted.
        centred: for each of them, whether means are subtracted at all.
    """
    return _joined(
        [
            part - other.mean(axis=1, keepdims=True) if own and other.shape[1] else part
            for part, other, own in zip(parts, means_of, centred, strict=True)
        ]
    )


def transposed(matrix: NDArray[np.floating]) -> Float32Array:
    """(groups, rows, columns) -> (groups, columns, rows), as columns are multiplied by it."""
    return np.ascontiguousarray(matrix.transpose(0, 2, 1), np.float32)


def joined(chunks: Sequence[SampleChunk], origin: Float32Array | None = None) -> SampleChunk:
    """Several chunks of one kind as one.

    Args:
        chunks: one or more.
        origin: what is subtracted from all columns, (groups, columns); None for nothing.
    """
    if origin is None and len(chunks) == 1:
        return chunks[0]
    if origin is None:
        columns = _joined([chunk.columns for chunk in chunks])
    else:
        groups, _, width = chunks[0].columns.shape
        ends = np.cumsum([chunk.columns.shape[1] for chunk in chunks])
        columns = np.empty((groups, ends[-1], width), np.float32)
        for chunk, end in zip(chunks, ends, strict=True):
            part = columns[:, end - chunk.columns.shape[1] : end]
            np.subtract(chunk.columns, origin[:, None], out=part)
    shifts = [chunk.shift for chunk in chunks if chunk.shift is not None]
    return SampleChunk(
        columns,
        _joined([chunk.targets for chunk in chunks]),
        _joined(shifts) if shifts else None,
        chunks[0].heldout,
        chunks[0].use,
    )


def _joined(arrays: Sequence[Float32Array]) -> Float32Array:
    """Arrays of (groups, positions, n) as one; a single one itself."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)
