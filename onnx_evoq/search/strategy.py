"""The one shape of all strategies: `ask` for candidates, score them, `tell` their scores.

The caller owns the loop, the scores and the time:

    while not deadline.passed:
        candidates = strategy.ask()
        strategy.tell(candidates, score(candidates))

A strategy never sees what is optimized, so that a pool, a budget or a log needs no hook in it.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array

Candidates = TypeVar("Candidates", bound=Sequence[Any])


class Strategy(Protocol[Candidates]):
    """What proposes candidates and learns from their scores, which are minimised."""

    def ask(self) -> Candidates:
        """The candidates to score next."""

    def tell(self, candidates: Candidates, scores: Float64Array, /) -> None:
        """Learn from the scores of what `ask` gave.

        Args:
            candidates: what was scored.
            scores: one per candidate, or one row; NaN is the worst.
        """


def check_told(
    asked: Sequence[Codes] | None, candidates: Sequence[Codes], fitness: Float64Array
) -> None:
    """Make sure that candidates are those that were asked for, and that each has a fitness.

    Raises:
        RuntimeError: nothing was asked for.
        ValueError: other candidates are told, or there is not one fitness for each.
    """
    if asked is None:
        raise RuntimeError("tell() goes with the candidates of ask(): call ask() first")
    if len(candidates) != len(asked) or any(
        one is not other for one, other in zip(candidates, asked, strict=True)
    ):
        raise ValueError("tell() takes the candidates that ask() gave, all of them in their order")
    if np.shape(fitness) != (len(asked),):
        raise ValueError(f"{len(asked)} candidates but fitness of shape {np.shape(fitness)}")
