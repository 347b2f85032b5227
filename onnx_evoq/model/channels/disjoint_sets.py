"""Tensors of channel ids, and which ids stand for the same scale (a union-find).

A tensor of ids has the shape of an activation, and says for each value which scale it carries.
`PINNED` is the scale 1. `ZERO` is for values that are 0 at any scale; it goes with every other id.

What is the same along an axis is stored once there (a NumPy view of stride 0), so that a tensor of
ids with one id per channel is small whatever its shape.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IdTensor: TypeAlias = NDArray[np.int32]

ZERO = 0
PINNED = 1


class DisjointSets:
    """Ids, and which of them have been joined."""

    def __init__(self) -> None:
        self._parents = [ZERO, PINNED]

    def fresh(self, count: int) -> IdTensor:
        """(count,) ids that are joined with no other."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count, dtype=np.int32)

    def pin(self, ids: IdTensor) -> None:
        """Give the scale 1 to all `ids`."""
        self._join(ids, np.broadcast_to(np.int32(PINNED), ids.shape))

    def are_pinned(self, ids: IdTensor) -> bool:
        """Whether all `ids` have the scale 1."""
        (small,) = _compact([ids])
        return all(self._root(entry) <= PINNED for entry in np.unique(small).tolist())

    def joined(self, tensors: Sequence[IdTensor]) -> IdTensor:
        """The ids of a sum: position by position, all terms get the same scale.

        Args:
            tensors: the ids of the terms, of shapes that broadcast.
        """
        terms = np.broadcast_arrays(*tensors)
        result, *others = _compact(terms)
        for other in others:
            self._join(result, other)
            result = np.maximum(result, other)  # any id rather than ZERO
        return np.broadcast_to(result, terms[0].shape)

    def merged(self, ids: IdTensor, axes: Sequence[int]) -> IdTensor:
        """The ids of a sum over `axes`, which are kept with size 1."""
        shape = [1 if axis in axes else size for axis, size in enumerate(ids.shape)]
        (small,) = _compact([ids])
        result = small.max(axis=tuple(axes), keepdims=True)
        self._join(small, np.broadcast_to(result, small.shape))
        return np.broadcast_to(result, shape)

    def roots(self, ids: IdTensor) -> IdTensor:
        """One id for all that have been joined; PINNED for those joined with it."""
        return np.array([self._root(int(entry)) for entry in ids.flat], np.int32).reshape(ids.shape)

    def _join(self, ids: IdTensor, others: IdTensor) -> None:
        one, other = _compact([ids, others])
        differ = (one != other) & (one != ZERO) & (other != ZERO)
        pairs = np.unique(one[differ].astype(np.int64) << 32 | other[differ])
        for pair in pairs.tolist():
            first, second = self._root(pair >> 32), self._root(pair & 0xFFFFFFFF)
            self._parents[max(first, second)] = min(first, second)

    def _root(self, entry: int) -> int:
        parents = self._parents
        while parents[entry] != entry:
            parents[entry] = parents[parents[entry]]
            entry = parents[entry]
        return entry


def _compact(tensors: Sequence[IdTensor]) -> list[IdTensor]:
    """Tensors of one shape, with size 1 along each axis where none of them changes."""
    same = [
        slice(0, 1) if not any(tensor.strides[axis] for tensor in tensors) else slice(None)
        for axis in range(tensors[0].ndim)
    ]
    return [tensor[tuple(same)] for tensor in tensors]
