"""Operators on integer codes. Fitness is minimised; NaN is the worst.

The mutation is algorithm 2 of arXiv 2605.05228.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float32Array, Float64Array, Indices

CodeBound = int | NDArray[np.integer]

STEPS = np.array([-2, -1, 1, 2], np.int8)
ODDS = np.array([0.1, 0.4, 0.4, 0.1])
_CHEAP = 0.1  # share of moves that are likely to be drawn


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


def mutate_by_cost(
    parent: Codes, up: Float32Array, down: Float32Array, moves: float, rng: np.random.Generator
) -> Codes:
    """A child whose codes move by +-1 where the layer's own output minds it least.

    The number of moves is 1 + Poisson(moves - 1). They are drawn with odds exp(-cost / t), t the
    cost that a tenth of all moves stay below.

    Args:
        parent: any shape, int8.
        up: what +1 costs, in the parent's shape; infinite where it must not be.
        down: likewise for -1.
        moves: how many moves there are on average, at least 1.
        rng: draws them.
    """
    costs = np.concatenate([up.ravel(), down.ravel()]).astype(np.float64)
    open_ = np.isfinite(costs)
    scale = max(float(np.quantile(costs[open_], _CHEAP)), float(np.finfo(np.float32).tiny))
    odds = np.exp(-np.where(open_, costs, np.inf).clip(0) / scale)
    count = min(1 + int(rng.poisson(moves - 1)), int(np.count_nonzero(odds)))
    # The largest of log(odds) + Gumbel noise are a draw without replacement with these odds.
    with np.errstate(divide="ignore"):
        keys = np.log(odds) + rng.gumbel(size=len(odds))
    indices = np.argpartition(-keys, count - 1)[:count]
    child = parent.ravel().astype(np.int16)
    moved, first = np.unique(indices % child.size, return_index=True)  # up and down undo each other
    child[moved] += np.where(indices[first] < child.size, 1, -1).astype(np.int16)
    limits = np.iinfo(np.int8)
    return child.clip(limits.min, limits.max).astype(np.int8).reshape(parent.shape)


def check_told(asked: Sequence[Codes] | None, fitness: Float64Array) -> Sequence[Codes]:
    """What was asked for, if there is one fitness for each of it.

    Raises:
        RuntimeError: nothing was asked for.
        ValueError: there is not one fitness per candidate.
    """
    if asked is None:
        raise RuntimeError("tell() goes with the candidates of ask(): call ask() first")
    if fitness.shape != (len(asked),):
        raise ValueError(f"{len(asked)} candidates but fitness of shape {fitness.shape}")
    return asked


def best_of(fitness: Float64Array, count: int) -> Indices:
    """Positions of the `count` smallest, best first, earlier before later among equals.

    Example:
        >>> best_of(np.array([3.0, np.nan, 1.0, 1.0]), 3)
        array([2, 3, 0])
    """
    return np.argsort(np.where(np.isnan(fitness), np.inf, fitness), kind="stable")[:count]
