"""The sums of products of a chunk of columns and targets, which moments are made of.

A chunk is all that is multiplied at a time. So its sums are the same to the bit wherever they are
computed, and what is added up of them in one order is so, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array

_VALUES_AT_ONCE = 2**18  # targets that fit the processor's cache
_LEAST_POSITIONS = 256


@dataclass(frozen=True, eq=False)
class TargetSums:
    """The sums of a chunk that its targets have a part in.

    Attributes:
        t: sum of t, (groups, rows).
        tx: sum of t x^T, (groups, rows, columns).
    """

    t: Float64Array
    tx: Float32Array


@dataclass(frozen=True, eq=False)
class ChunkSums:
    """All sums of a chunk.

    Attributes:
        count: number of positions.
        x: sum of x, (groups, columns).
        xx: sum of x x^T, (groups, columns, columns).
        of_targets: the others.
    """

    count: int
    x: Float64Array
    xx: Float32Array
    of_targets: TargetSums


def first_origins(
    columns: Sequence[Float32Array], targets: Sequence[Float32Array], *, centred: bool
) -> tuple[Float32Array, Float32Array]:
    """What is subtracted from columns and targets: the means of the first chunk, or zero.

    Args:
        columns: those of the chunk, (groups, positions, columns), in one array or several.
        targets: likewise, (groups, positions, rows).
        centred: whether means are subtracted at all.

    Returns:
        (groups, columns) and (groups, rows).
    """
    if centred:
        return _mean_of(columns), _mean_of(targets)
    groups, _, width = columns[0].shape
    rows = targets[0].shape[2]
    return np.zeros((groups, width), np.float32), np.zeros((groups, rows), np.float32)


def chunk_sums(
    x: Float32Array, targets_of: Callable[[slice], Float32Array], origin: Float32Array
) -> ChunkSums:
    """The sums of a chunk.

    Args:
        x: the columns minus their origin, (groups, positions, columns).
        targets_of: the targets of some positions, (groups, some, rows).
        origin: of the targets, (groups, rows).
    """
    # BLAS computes x.T @ x of one array in half the time.
    products = (x[0].T @ x[0])[None] if len(x) == 1 else x.transpose(0, 2, 1) @ x
    of_targets = target_sums(x, targets_of, origin)
    return ChunkSums(x.shape[1], x.sum(axis=1, dtype=np.float64), products, of_targets)


def target_sums(
    x: Float32Array, targets_of: Callable[[slice], Float32Array], origin: Float32Array
) -> TargetSums:
    """The sums of a chunk that its targets have a part in.

    The arguments are those of `chunk_sums`. Targets are asked for a few at a time, so that they
    stay in the processor's cache.
    """
    groups, positions, width = x.shape
    rows = origin.shape[1]
    t_sum = np.zeros((groups, rows))
    tx: Float32Array | None = None
    at_once = max(_LEAST_POSITIONS, _VALUES_AT_ONCE // (groups * rows))
    for start in range(0, positions, at_once):
        some = slice(start, min(start + at_once, positions))
        t = targets_of(some) - origin[:, None]
        t_sum += t.sum(axis=1, dtype=np.float64)
        product = t.transpose(0, 2, 1) @ x[:, some]
        if tx is None:
            tx = np.asarray(product, np.float32)
        else:
            tx += product
    return TargetSums(t_sum, np.zeros((groups, rows, width), np.float32) if tx is None else tx)


def _mean_of(arrays: Sequence[Float32Array]) -> Float32Array:
    """The mean over the positions of several arrays, (groups, positions, n) each: (groups, n)."""
    total = sum(array.sum(axis=1) for array in arrays)
    return np.asarray(total / sum(array.shape[1] for array in arrays), np.float32)
