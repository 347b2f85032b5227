"""A layer's columns and targets, kept so that the targets can be replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.moments.activation import Activation
from onnx_evoq.quantize.moments.moments import MomentSums


@dataclass(frozen=True, eq=False)
class SampleChunk:
    """A layer's columns and targets at some positions.

    Attributes:
        columns: x, (groups, positions, columns).
        targets: t, (groups, positions, rows).
        shift: what the model adds to the output before the activation, (groups, positions, rows);
            None if it adds nothing.
        heldout: whether it only judges what the others give.
    """

    columns: Float32Array
    targets: Float32Array
    shift: Float32Array | None = None
    heldout: bool = False


class LayerSamples:
    """A layer's columns and targets, with their second moments.

    Attributes:
        centred: whether the means are subtracted, as for a layer with a bias.
        activation: the activation that reads the layer's output; None if there is none.
        sums: the moments; without chunks if `few`.

    Args:
        centred: as above.
        activation: as above.
        few: whether there are so few positions that all are kept, and no moments are gathered.
        heldout: whether some chunks only judge.
        keeps_judges: whether these are kept as they are, and their moments are not gathered.
    """

    def __init__(
        self,
        centred: bool,
        activation: Activation | None = None,
        *,
        few: bool = False,
        heldout: bool = False,
        keeps_judges: bool = False,
    ) -> None:
        self.centred = centred
        self.activation = activation
        self.sums = MomentSums(centred, heldout=heldout)
        self._few = few
        self._keeps_judges = few or keeps_judges
        self._judges: list[SampleChunk] = []
        self._chunks: list[SampleChunk] = []  # minus the origin of the moments, if there are any

    def add(self, *chunks: SampleChunk) -> None:
        """Add chunks of one kind as one; it is kept if there are few positions, or an activation.

        Args:
            chunks: one or more.
        """
        if chunks[0].heldout and self._keeps_judges:
            self._judges.append(joined(chunks))
            return
        if self._few:
            self._chunks.append(joined(chunks))
            return
        self.sums.start([each.columns for each in chunks], [each.targets for each in chunks])
        chunk = joined(chunks, self.sums.origin)
        self.sums.add_from_origin(chunk.columns, chunk.targets, heldout=chunk.heldout)
        if self.activation is not None:
            self._chunks.append(chunk)

    @property
    def few(self) -> bool:
        """Whether all positions are kept, and no moments are gathered."""
        return self._few

    @property
    def count(self) -> int:
        """The number of positions, without those that only judge."""
        kept = sum(chunk.columns.shape[1] for chunk in self._chunks)
        return kept if self._few else self.sums.count

    @cached_property
    def together(self) -> SampleChunk:
        """All columns and targets but those that only judge, if there are few positions."""
        self._chunks = [joined(self._chunks)]  # in place of its parts, which take as much memory
        return self._chunks[0]

    @cached_property
    def heldout(self) -> SampleChunk | None:
        """The columns and targets that only judge, if they are kept as they are; None for none."""
        self._judges = [joined(self._judges)] if self._judges else []
        return self._judges[0] if self._judges else None

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
            bias: the layer's current bias, (groups, rows).
        """
        activation = self.activation
        if activation is None:
            return self.sums
        columns_first = transposed(weight)
        at_origin = bias + (weight @ self.sums.origin[:, :, None])[:, :, 0]
        added = np.asarray(at_origin, np.float32)[:, None]  # (groups, 1, rows)

        def targets_of(chunk: SampleChunk, some: slice) -> Float32Array:
            outputs = chunk.columns[:, some] @ columns_first
            outputs += added
            shift = None if chunk.shift is None else chunk.shift[:, some]
            return activation.targets(chunk.targets[:, some], outputs, shift)

        return self.sums.with_targets(
            (chunk.columns, partial(targets_of, chunk), chunk.heldout) for chunk in self._chunks
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
    )


def _joined(arrays: Sequence[Float32Array]) -> Float32Array:
    """Arrays of (groups, positions, n) as one; a single one itself."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)
