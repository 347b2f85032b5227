"""Operators on integer codes. Fitness is minimised; NaN is the worst.

The mutation is algorithm 2 of arXiv 2605.05228.
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float64Array, Indices

CodeBound = int | NDArray[np.integer]

STEPS = np.array([-2, -1, 1, 2], np.int8)
ODDS = np.array([0.1, 0.4, 0.4, 0.1])


def mutate(
    parent: Codes, rate: float, low: CodeBound, high: CodeBound, rng: np.random.Generator
) -> Codes:
    """A child: a Bernoulli mask picks codes, which move by -2, -1, +1 or +2.

        child = clip(parent + mask * steps, low, high)

    The mask is drawn as the number of picked codes, which is binomial, and their places: that is
    the same law, in time and memory that grow with what moves. A mask that picks nothing would
    score the parent twice, so that one code is picked then.

    Args:
        parent: any shape, int8.
        rate: probability that a code moves.
        low: smallest code; a number, or what broadcasts to the parent's shape.
        high: largest code, likewise.
        rng: draws places and steps.
    """
    child = parent.ravel().copy()  # (codes,)
    moved = max(1, int(rng.binomial(child.size, rate)))
    indices = rng.choice(child.size, size=moved, replace=False, shuffle=False)
    steps = rng.choice(STEPS, size=moved, p=ODDS)
    least, most = (np.broadcast_to(limit, parent.shape).flat[indices] for limit in (low, high))
    child[indices] = (child[indices].astype(np.int16) + steps).clip(least, most)
    return child.reshape(parent.shape)


def best_of(fitness: Float64Array, count: int) -> Indices:
    """Positions of the `count` smallest, best first, earlier before later among equals.

    Example:
        >>> best_of(np.array([3.0, np.nan, 1.0, 1.0]), 3)
        array([2, 3, 0])
    """
    return np.argsort(np.where(np.isnan(fitness), np.inf, fitness), kind="stable")[:count]
