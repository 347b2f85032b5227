"""A layer's columns and targets at some positions, and how several such chunks become one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array


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

    @property
    def finite(self) -> bool:
        """Whether all values and their squares are in the range of float32."""
        both = self.columns, self.targets
        return all(bool(np.isfinite(np.square(each)).all()) for each in both)


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
