"""The one shape of all search strategies: `ask` for candidates, score them, `tell` their scores.

The caller owns the loop, the scores and the time budget:

    while not deadline.passed:
        candidates = strategy.ask()
        strategy.tell(candidates, score(candidates))

A strategy does not know what it optimizes. So a run pool, a time budget or a log needs no hook in
it. A new strategy is tested by adding it to the list in tests/search/test_ask_tell.py.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array

Candidates = TypeVar("Candidates", bound=Sequence[Any])


class AskTell(Protocol[Candidates]):
    """Proposes candidates, and learns from their scores, which it minimises."""

    def ask(self) -> Candidates:
        """Propose the candidates to score next."""

    def tell(self, candidates: Candidates, scores: Float64Array, /) -> None:
        """Learn from the scores of candidates.

        Args:
            candidates: the scored candidates, as `ask` returned them.
            scores: (candidates,), or (candidates, objectives); NaN is the worst.
        """


def check_tell(
    asked: Sequence[Codes] | None, candidates: Sequence[Codes], fitness: Float64Array
) -> None:
    """Check that the arguments of `tell` go with the last `ask`.

    Args:
        asked: the candidates that `ask` returned; None if their scores are known already.
        candidates: the first argument of `tell`.
        fitness: the second argument of `tell`, (candidates,).

    Raises:
        RuntimeError: there was no `ask` since the last `tell`.
        ValueError: the candidates are others, or there is not one fitness for each of them.
    """
    if asked is None:
        raise RuntimeError("tell() goes with the candidates of ask(): call ask() first")
    if len(candidates) != len(asked) or any(
        one is not other for one, other in zip(candidates, asked, strict=True)
    ):
        raise ValueError("tell() takes the candidates that ask() gave, all of them in their order")
    if np.shape(fitness) != (len(asked),):
        raise ValueError(f"{len(asked)} candidates but fitness of shape {np.shape(fitness)}")
