"""Neuroevolution of one layer's codes: algorithm 2 of arXiv 2605.05228.

This is elitist (mu + lambda) evolution with mu = lambda. In each iteration, every parent has one
child by mutation. Parents and children are ranked together, and the best are the next parents.
"""

from collections.abc import Callable, Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Codes, Float64Array
from onnx_evoq.search.ask_tell import check_tell
from onnx_evoq.search.code_mutation import best_of


class Neuroevolution:
    """Evolves the integer codes of one layer; an `AskTell` with one objective, the fitness.

    Example:
        >>> from onnx_evoq.search.code_mutation import mutate
        >>> rng = np.random.default_rng(0)
        >>> search = Neuroevolution(
        ...     np.zeros((2, 3), np.int8), 4, lambda codes: mutate(codes, 0.3, -8, 7, rng))
        >>> for _ in range(100):
        ...     candidates = search.ask()
        ...     search.tell(candidates, np.array([np.abs(c - 2.0).sum() for c in candidates]))
        >>> search.best.tolist()
        [[2, 2, 2], [2, 2, 2]]

    Args:
        codes: the start, int8, any shape.
        population: the number of parents, and of children in each iteration.
        child_of: makes a child of a parent.
    """

    def __init__(self, codes: Codes, population: int, child_of: Callable[[Codes], Codes]) -> None:
        self._child_of = child_of
        self._parents = [codes] * population  # the start is scored once
        self._fitness = np.full(population, np.inf)
        self._asked: list[Codes] | None = None
        self._started = False

    @property
    def parents(self) -> list[Codes]:
        """The parents of the next generation, best first."""
        return list(self._parents)

    @property
    def best(self) -> Codes:
        """The best codes so far; the start if nothing was scored yet."""
        return self._parents[0]

    @property
    def best_fitness(self) -> float:
        """The fitness of the best codes; infinite if nothing was scored yet, or if it is NaN."""
        return float("inf") if np.isnan(self._fitness[0]) else float(self._fitness[0])

    @property
    def state(self) -> dict[str, Array]:
        """The parents and their fitness as arrays, by name, between `tell` and `ask`."""
        return {
            "parents": np.array(self._parents),  # (population, *shape)
            "fitness": self._fitness,
            "started": np.array(self._started),
        }

    def set_state(self, state: Arrays) -> None:
        """Go on from a state of a search with the same start and population."""
        self._parents = list(np.asarray(state["parents"], np.int8))
        self._fitness = np.asarray(state["fitness"], np.float64)
        self._started, self._asked = bool(state["started"]), None

    def ask(self) -> list[Codes]:
        """Propose the start alone, and then a generation of children, in the start's shape."""
        if self._started:
            self._asked = [self._child_of(parent) for parent in self._parents]
        else:
            self._asked = self._parents[:1]
        return self._asked

    def tell(self, candidates: Sequence[Codes], fitness: Float64Array) -> None:
        """Select the next parents by fitness.

        Args:
            candidates: all candidates of the last `ask`, in order.
            fitness: (candidates,), minimised; NaN is the worst.

        Raises:
            RuntimeError: there was no `ask` since the last `tell`.
            ValueError: the candidates are others, or there is not one fitness for each of them.
        """
        check_tell(self._asked, candidates, fitness)
        if self._started:
            everyone = [*self._parents, *candidates]
            scores = np.concatenate([self._fitness, fitness])
            stay = best_of(scores, len(self._parents))
            self._parents, self._fitness = [everyone[index] for index in stay], scores[stay]
        else:
            self._fitness[:] = fitness[0]
            self._started = True
        self._asked = None
