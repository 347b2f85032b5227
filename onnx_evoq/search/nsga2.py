"""NSGA-II on genomes of integers: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist
multiobjective genetic algorithm: NSGA-II", 2002, https://doi.org/10.1109/4235.996017.

Parents and children compete. The best `population` of them are the next parents, by front and then
by crowding distance (section III-C). Three things differ from the paper:

1. Genes are integers. `genomes` has their crossover and mutation; a pair has one child.
2. A genome is not proposed again once its objectives are known.
3. The caller may leave candidates unscored, and may `tell` genomes of its own.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.search.genomes import (
    Genomes,
    following,
    mutate_genomes,
    random_genomes,
    uniform_crossover,
)
from onnx_evoq.search.pareto import crowding_distance, is_finite, non_dominated_sort

_ROUNDS = 20  # generations that are drawn before a search for the next new genome


class NSGA2:
    """Evolves genomes of integers; an `AskTell` with several objectives.

    `tell` takes any genomes, not only all candidates of the last `ask`. So a caller with a cheap
    guess of the objectives can ask for many candidates, and score only the promising ones. The
    others may be proposed again.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> search = NSGA2([[0, 0], [4, 4]], choices=[5, 5], population=6, rng=rng)
        >>> while len(search.front[0]) < 5:
        ...     genomes = search.ask()
        ...     size, error = genomes.sum(axis=1), (4 - genomes[:, 0]) ** 2
        ...     search.tell(genomes, np.stack([size, error], axis=1))
        >>> genomes, objectives = search.front
        >>> genomes.tolist()
        [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]]
        >>> objectives.tolist()
        [[0.0, 16.0], [1.0, 9.0], [2.0, 4.0], [3.0, 1.0], [4.0, 0.0]]

    Args:
        initial: (individuals, genes), the genomes of the first generation. Random genomes are
            added if they are fewer than `population`.
        choices: (genes,); gene g lies in [0, choices[g]).
        population: the number of parents of each generation.
        rng: draws genomes, pairs, crossover and mutation.
        crossover_rate: probability that a pair crosses.
        mutation_rate: probability that a gene mutates; None for 1 / (number of genes that have
            several choices).

    Raises:
        ValueError: the genomes do not fit the choices, or the population is smaller than one.
    """

    def __init__(
        self,
        initial: ArrayLike,
        choices: ArrayLike,
        population: int,
        rng: np.random.Generator,
        crossover_rate: float = 0.9,
        mutation_rate: float | None = None,
    ) -> None:
        self._choices = np.asarray(choices, np.int64)
        if self._choices.ndim != 1 or (self._choices < 1).any():
            raise ValueError(f"each gene needs one choice or more, not {self._choices.tolist()}")
        if population < 1:
            raise ValueError(f"a population of {population} cannot evolve: give it one or more")
        free = max(1, int(np.count_nonzero(self._choices > 1)))
        self._population = population
        self._rng = rng
        self._crossover_rate = crossover_rate
        self._mutation_rate = 1 / free if mutation_rate is None else mutation_rate
        self._scored: set[bytes] = set()
        self._parents = self._front = np.empty((0, len(self._choices)), np.int64)
        self._objectives = self._front_objectives = np.empty((0, 0))
        self._ranks, self._crowding = np.empty(0, np.intp), np.empty(0)
        first = {genome.tobytes(): genome for genome in self._checked(initial)}
        self._first_generation = self._new(population, self._random, first)

    @property
    def parents(self) -> tuple[Genomes, Float64Array]:
        """The parents: genomes (individuals, genes), best first, and (individuals, objectives)."""
        return self._parents.copy(), self._objectives.copy()

    @property
    def front(self) -> tuple[Genomes, Float64Array]:
        """The Pareto front of all genomes that were scored, sorted by the first objective.

        Returns:
            Genomes (individuals, genes), and their objectives (individuals, objectives). Genomes
            with equal objectives are all in it, in the order of their scoring. Genomes with a NaN
            or an infinity are not in it.
        """
        return self._front.copy(), self._front_objectives.copy()

    def ask(self, count: int | None = None) -> Genomes:
        """Propose candidates: the first generation, and then offspring.

        A candidate is never one that was scored, and all of them differ. They are random if nothing
        was scored yet.

        Args:
            count: how many; None for the whole first generation, and then for `population`.

        Returns:
            (candidates, genes): `count` of them, or the rest of the first generation, or the rest
            of all genomes. They are none if all genomes were scored.
        """
        first = [
            genome for genome in self._first_generation if genome.tobytes() not in self._scored
        ]
        if first:
            count = len(first) if count is None else count
            self._first_generation = first[count:]
            return self._stacked(first[:count])
        draw = self._offspring if len(self._parents) else self._random
        return self._stacked(self._new(self._population if count is None else count, draw, {}))

    def tell(self, genomes: ArrayLike, objectives: ArrayLike) -> None:
        """Select the parents of the next generation by the objectives of genomes.

        Args:
            genomes: (individuals, genes), candidates of `ask` or others, which `tell` was not given
                before.
            objectives: (individuals, objectives), minimised. A genome with a NaN or an infinity is
                the worst.

        Raises:
            ValueError: a genome does not fit the choices or was scored before, or there is not one
                row of objectives per genome, of the same length as before.
        """
        rows, scores = self._checked(genomes), np.asarray(objectives, np.float64)
        if not len(rows):
            return
        if scores.ndim != 2 or len(scores) != len(rows):
            raise ValueError(f"{len(rows)} genomes but objectives of shape {scores.shape}")
        if not self._scored:
            self._objectives = self._front_objectives = np.empty((0, scores.shape[1]))
        if scores.shape[1] != self._objectives.shape[1]:
            raise ValueError(
                f"{scores.shape[1]} objectives where there were {self._objectives.shape[1]} before"
            )
        scored = set(self._scored)
        for genome in rows:
            if genome.tobytes() in scored:
                raise ValueError(f"tell each genome once: {genome.tolist()} was told before")
            scored.add(genome.tobytes())
        self._scored = scored
        self._select(rows, scores)
        self._update_front(rows[is_finite(scores)], scores[is_finite(scores)])

    def _select(self, genomes: Genomes, objectives: Float64Array) -> None:
        everyone = np.concatenate([self._parents, genomes])
        scores = np.concatenate([self._objectives, objectives])
        stay, self._ranks, self._crowding = survivors(scores, self._population)
        self._parents, self._objectives = everyone[stay], scores[stay]

    def _update_front(self, genomes: Genomes, objectives: Float64Array) -> None:
        everyone = np.concatenate([self._front, genomes])
        scores = np.concatenate([self._front_objectives, objectives])
        if len(everyone):
            stay = non_dominated_sort(scores)[0]
            stay = stay[np.argsort(scores[stay, 0], kind="stable")]
            self._front, self._front_objectives = everyone[stay], scores[stay]

    def _offspring(self, count: int) -> Genomes:
        mothers, fathers = (
            self._parents[tournament(self._ranks, self._crowding, count, self._rng)]
            for _ in range(2)
        )
        children = uniform_crossover(mothers, fathers, self._crossover_rate, self._rng)
        return mutate_genomes(children, self._choices, self._mutation_rate, self._rng)

    def _random(self, count: int) -> Genomes:
        return random_genomes(count, self._choices, self._rng)

    def _new(
        self, count: int, draw: Callable[[int], Genomes], initial: dict[bytes, Genomes]
    ) -> list[Genomes]:
        """The initial genomes, and new ones that were not scored, up to `count` in all.

        If several rounds of draws give too few new genomes, a random genome is taken, or the first
        new one that follows it in lexicographic order. So the search ends only when all genomes
        were scored.
        """
        genomes = dict(initial)
        for _ in range(_ROUNDS):
            if len(genomes) >= count:
                break
            for genome in draw(count):
                if len(genomes) < count and genome.tobytes() not in self._scored:
                    genomes.setdefault(genome.tobytes(), genome)
        space = math.prod(self._choices.tolist())
        while len(genomes) < count and len(genomes) + len(self._scored) < space:
            (genome,) = self._random(1)
            while genome.tobytes() in self._scored or genome.tobytes() in genomes:
                genome = following(genome, self._choices)
            genomes[genome.tobytes()] = genome
        return list(genomes.values())

    def _checked(self, genomes: ArrayLike) -> Genomes:
        """The genomes as (individuals, genes), int64; raises ValueError if they do not fit."""
        rows = np.asarray(genomes)
        genes = len(self._choices)
        if rows.size == 0:
            return np.empty((0, genes), np.int64)
        if rows.ndim != 2 or rows.shape[1] != genes or rows.dtype.kind not in "iu":
            raise ValueError(
                f"genomes are integers of shape (individuals, {genes}), not {rows.dtype} of shape "
                f"{rows.shape}"
            )
        outside = ((rows < 0) | (rows >= self._choices)).any(axis=1)
        if outside.any():
            raise ValueError(
                f"genome {rows[outside][0].tolist()} is out of range: its genes have "
                f"{self._choices.tolist()} choices, counted from 0"
            )
        return np.ascontiguousarray(rows, np.int64)

    def _stacked(self, genomes: Sequence[Genomes]) -> Genomes:
        return np.array(genomes, np.int64).reshape(len(genomes), len(self._choices))


def survivors(objectives: Float64Array, count: int) -> tuple[Indices, Indices, Float64Array]:
    """The best `count` points: front by front, and of the last front the least crowded.

    Args:
        objectives: (individuals, objectives).
        count: how many survive.

    Returns:
        Three arrays (survivors,): their indices, best first, where ties keep their order; the
        number of the front of each, counted from 0; and the crowding distance of each.

    Example:
        >>> survivors(np.array([[4., 4.], [0., 3.], [1., 2.], [2., 1.5], [3., 0.]]), 3)
        (array([1, 4, 3]), array([0, 0, 0]), array([       inf,        inf, 1.33333333]))
    """
    indices, ranks, crowding = [], [], []
    remaining = count
    for rank, front in enumerate(non_dominated_sort(objectives)):
        distance = crowding_distance(objectives[front])
        best = np.argsort(-distance, kind="stable")[:remaining]
        indices.append(front[best])
        ranks.append(np.full(len(best), rank))
        crowding.append(distance[best])
        remaining -= len(best)
        if not remaining:
            break
    return np.concatenate(indices), np.concatenate(ranks), np.concatenate(crowding)


def tournament(
    ranks: Indices, crowding: Float64Array, count: int, rng: np.random.Generator
) -> Indices:
    """Hold binary tournaments: the lower front wins, and within a front the larger distance.

    Args:
        ranks: (individuals,), the number of the front of each.
        crowding: (individuals,), the crowding distance of each.
        count: how many tournaments.
        rng: draws the two individuals of each tournament.

    Returns:
        (count,), the index of each winner.
    """
    one, other = rng.integers(0, len(ranks), size=(2, count))
    same = ranks[one] == ranks[other]
    loses = (ranks[one] > ranks[other]) | (same & (crowding[one] < crowding[other]))
    winners: Indices = np.where(loses, other, one)
    return winners
