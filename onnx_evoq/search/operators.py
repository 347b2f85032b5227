"""Operators on integer codes. Fitness is minimised; NaN is the worst.

The mutation is algorithm 2 of arXiv 2605.05228.
"""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]

STEPS = np.array([-2, -1, 1, 2], np.int8)
ODDS = np.array([0.1, 0.4, 0.4, 0.1])


def mutate(parent: Codes, rate: float, low: int, high: int, rng: np.random.Generator) -> Codes:
    """A child: a Bernoulli mask picks codes, which move by -2, -1, +1 or +2.

        child = clip(parent + mask * steps, low, high)

    The mask is drawn as the number of picked codes, which is binomial, and their places: that is
    the same law, in time and memory that grow with what moves. A mask that picks nothing would
    score the parent twice, so that one code is picked then.

    Args:
        parent: any shape, int8.
        rate: probability that a code moves.
        low: smallest code.
        high: largest code.
        rng: draws places and steps.
    """
    child = parent.ravel().copy()  # (codes,)
    moved = max(1, int(rng.binomial(child.size, rate)))
    places = rng.choice(child.size, size=moved, replace=False, shuffle=False)
    steps = rng.choice(STEPS, size=moved, p=ODDS)
    child[places] = (child[places].astype(np.int16) + steps).clip(low, high)
    return child.reshape(parent.shape)


def best_of(fitness: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Positions of the `count` smallest, best first, earlier before later among equals.

    Example:
        >>> best_of(np.array([3.0, np.nan, 1.0, 1.0]), 3)
        array([2, 3, 0])
    """
    return np.argsort(np.where(np.isnan(fitness), np.inf, fitness), kind="stable")[:count]
