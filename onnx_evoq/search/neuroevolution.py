"""Neuroevolution of one layer's codes: algorithm 2 of arXiv 2605.05228.

Elitist (mu + lambda) evolution with mu = lambda: each iteration every candidate has one child by
mutation, parents and children are sorted together, and the best stay.
"""

from collections.abc import Callable, Sequence

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array
from onnx_evoq.search.operators import best_of
from onnx_evoq.search.strategy import check_told


class Neuroevolution:
    """Evolves integer codes; the caller scores them.

    Example:
        >>> from onnx_evoq.search.operators import mutate
        >>> rng = np.random.default_rng(0)
        >>> search = Neuroevolution(
        ...     np.zeros((2, 3), np.int8), 4, lambda codes: mutate(codes, 0.3, -8, 7, rng))
        >>> for _ in range(100):
        ...     candidates = search.ask()
        ...     search.tell(candidates, np.array([np.abs(c - 2.0).sum() for c in candidates]))
        >>> search.best.tolist()
        [[2, 2, 2], [2, 2, 2]]

    Args:
        codes: where to start, any shape, int8.
        population: candidates that stay after each iteration.
        child_of: makes a child of a parent.
    """

    def __init__(self, codes: Codes, population: int, child_of: Callable[[Codes], Codes]) -> None:
        self._child_of = child_of
        # P times the start, scored once: the first generation is the start itself.
        self._parents = [codes] * population
        self._fitness = np.full(population, np.inf)
        self._asked: list[Codes] | None = None
        self._started = False

    @property
    def parents(self) -> list[Codes]:
        """The candidates that stay, best first."""
        return list(self._parents)

    @property
    def best(self) -> Codes:
        """The best codes so far; the start before anything was scored."""
        return self._parents[0]

    @property
    def best_fitness(self) -> float:
        """Their fitness, infinite before anything was scored, or if it is NaN."""
        return float("inf") if np.isnan(self._fitness[0]) else float(self._fitness[0])

    def ask(self) -> list[Codes]:
        """The candidates to score, each in the shape of the start: it alone, then a generation."""
        if self._started:
            self._asked = [self._child_of(parent) for parent in self._parents]
        else:
            self._asked = self._parents[:1]
        return self._asked

    def tell(self, candidates: Sequence[Codes], fitness: Float64Array) -> None:
        """Select by the fitness of what `ask` gave.

        Args:
            candidates: those of the last `ask`.
            fitness: (candidates,); NaN is the worst.

        Raises:
            RuntimeError: nothing was asked for.
            ValueError: they are not the candidates that were asked for, with one fitness each.
        """
        check_told(self._asked, candidates, fitness)
        if self._started:
            everyone = [*self._parents, *candidates]
            scores = np.concatenate([self._fitness, fitness])
            stay = best_of(scores, len(self._parents))
            self._parents, self._fitness = [everyone[index] for index in stay], scores[stay]
        else:
            self._fitness[:] = fitness[0]
            self._started = True
        self._asked = None
