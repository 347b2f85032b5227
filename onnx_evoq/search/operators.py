"""Operators on populations of integer codes. Fitness is minimised; NaN is the worst.

The mutation is algorithm 2 of arXiv 2605.05228.
"""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]

STEPS = np.array([-2, -1, 1, 2], np.int8)
ODDS = np.array([0.1, 0.4, 0.4, 0.1])


def mutate(parents: Codes, rate: float, low: int, high: int, rng: np.random.Generator) -> Codes:
    """One child per parent: a Bernoulli mask picks codes, which move by -2, -1, +1 or +2.

        child = clip(parent + mask * steps, low, high)

    A mask that picks nothing would score the parent twice, so it then picks one code at random.

    Args:
        parents: (population, codes).
        rate: probability that a code moves.
        low: smallest code.
        high: largest code.
        rng: draws masks and steps.
    """
    mask = rng.random(parents.shape) < rate  # (population, codes)
    empty = np.flatnonzero(~mask.any(axis=1))
    mask[empty, rng.integers(parents.shape[1], size=len(empty))] = True
    children = parents.astype(np.int16)
    moved = int(mask.sum())
    children[mask] += rng.choice(STEPS, size=moved, p=ODDS)
    return children.clip(low, high).astype(np.int8)


def best_of(fitness: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Positions of the `count` smallest, best first, earlier before later among equals.

    Example:
        >>> best_of(np.array([3.0, np.nan, 1.0, 1.0]), 3)
        array([2, 3, 0])
    """
    return np.argsort(np.where(np.isnan(fitness), np.inf, fitness), kind="stable")[:count]
