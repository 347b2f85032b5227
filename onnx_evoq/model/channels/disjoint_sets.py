"""A union-find over channel ids: ids in one set stand for the same scale.

An id tensor has the shape of an activation. It holds for each value the id of the scale that this
value is multiplied with. `PINNED` is the id of the scale 1. `ZERO` is the id of values that are 0
at any scale; it goes with every other id and is never united with one.

Where an id tensor is constant along an axis, it is stored once there (a NumPy view of stride 0), so
that a tensor with one id per channel is small whatever its shape is.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IdTensor: TypeAlias = NDArray[np.int32]

ZERO = 0
PINNED = 1


class DisjointSets:
    """Ids, and the sets that they have been united to."""

    def __init__(self) -> None:
        self._parents = [ZERO, PINNED]

    def new_ids(self, count: int) -> IdTensor:
        """(count,) new ids, each in a set of its own."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count, dtype=np.int32)

    def pin(self, ids: IdTensor) -> None:
        """Give the scale 1 to all `ids`."""
        self._unite(ids, np.broadcast_to(np.int32(PINNED), ids.shape))

    def are_pinned(self, ids: IdTensor) -> bool:
        """Whether all `ids` have the scale 1."""
        (small,) = compact([ids])
        return all(self._root(entry) <= PINNED for entry in np.unique(small).tolist())

    def united(self, tensors: Sequence[IdTensor]) -> IdTensor:
        """The ids of an elementwise sum, whose terms must have the same scale at each position.

        Args:
            tensors: the ids of the terms, of shapes that broadcast.
        """
        terms = np.broadcast_arrays(*tensors)
        result, *others = compact(terms)
        for other in others:
            self._unite(result, other)
            result = np.maximum(result, other)  # any id rather than ZERO
        return np.broadcast_to(result, terms[0].shape)

    def united_along(self, ids: IdTensor, axes: Sequence[int]) -> IdTensor:
        """The ids of a sum over `axes`, which stay with size 1."""
        shape = [1 if axis in axes else size for axis, size in enumerate(ids.shape)]
        (small,) = compact([ids])
        result = small.max(axis=tuple(axes), keepdims=True)
        self._unite(small, np.broadcast_to(result, small.shape))
        return np.broadcast_to(result, shape)

    def roots(self, ids: IdTensor) -> IdTensor:
        """The id that stands for the set of each of `ids`; PINNED for the set of PINNED."""
        return np.array([self._root(int(entry)) for entry in ids.flat], np.int32).reshape(ids.shape)

    def _unite(self, ids: IdTensor, others: IdTensor) -> None:
        one, other = compact([ids, others])
        differ = (one != other) & (one != ZERO) & (other != ZERO)
        pairs = np.unique(one[differ].astype(np.int64) << 32 | other[differ])  # each pair once
        for pair in pairs.tolist():
            roots = self._root(pair >> 32), self._root(pair & 0xFFFFFFFF)
            self._parents[max(roots)] = min(roots)

    def _root(self, entry: int) -> int:
        parents = self._parents
        while parents[entry] != entry:
            parents[entry] = parents[parents[entry]]  # halves the way for the next time
            entry = parents[entry]
        return entry


def compact(tensors: Sequence[IdTensor]) -> list[IdTensor]:
    """The tensors, of one shape, with size 1 along each axis where none of them changes."""
    window = tuple(
        slice(None) if any(tensor.strides[axis] for tensor in tensors) else slice(0, 1)
        for axis in range(tensors[0].ndim)
    )
    return [tensor[window] for tensor in tensors]
