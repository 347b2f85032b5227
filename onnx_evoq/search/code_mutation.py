"""Mutation and selection of integer codes. Fitness is minimised, and NaN is the worst.

The mutation is that of algorithm 2 of arXiv 2605.05228.
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float64Array, Indices

CodeBound = int | NDArray[np.integer]

MOVES = np.array([-2, -1, 1, 2], np.int8)
ODDS = np.array([0.1, 0.4, 0.4, 0.1])  # the probability of each move


def mutate(
    parent: Codes, rate: float, low: CodeBound, high: CodeBound, rng: np.random.Generator
) -> Codes:
    """Make a child: a Bernoulli mask picks codes, and these move by -2, -1, +1 or +2.

        child = clip(parent + mask * moves, low, high)

    The mask is not drawn code by code. Its number of ones is drawn from a binomial distribution,
    and then their indices. That is the same distribution, but takes time and memory for the codes
    that move only. At least one code is picked, because the parent would be scored twice otherwise.

    Args:
        parent: int8, any shape.
        rate: probability that a code moves.
        low: the smallest code: a number, or an array that broadcasts to the parent's shape.
        high: the largest code, of the same kind as `low`.
        rng: draws which codes move, and how.
    """
    child = parent.ravel().copy()  # (codes,)
    count = max(1, int(rng.binomial(child.size, rate)))
    indices = rng.choice(child.size, size=count, replace=False, shuffle=False)
    moves = rng.choice(MOVES, size=count, p=ODDS)
    least, most = (np.broadcast_to(limit, parent.shape).flat[indices] for limit in (low, high))
    child[indices] = (child[indices].astype(np.int16) + moves).clip(least, most)
    return child.reshape(parent.shape)


def best_of(fitness: Float64Array, count: int) -> Indices:
    """Indices of the `count` smallest values, best first; ties keep their order, NaN is last.

    Args:
        fitness: (candidates,).
        count: how many indices.

    Example:
        >>> best_of(np.array([3.0, np.nan, 1.0, 1.0]), 3)
        array([2, 3, 0])
    """
    return np.argsort(np.where(np.isnan(fitness), np.inf, fitness), kind="stable")[:count]
