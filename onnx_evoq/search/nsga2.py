"""NSGA-II on genomes of integers: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist
multiobjective genetic algorithm: NSGA-II", 2002, https://doi.org/10.1109/4235.996017.

Parents and children compete; the best `population` stay, by front, then by crowding distance
(section III-C). Three things are not the paper's:

1. Genes are integers, crossed uniformly and mutated as `genomes` says; a pair has one child.
2. No genome is proposed again once its objectives are known.
3. The caller may drop candidates unscored, and tell genomes of its own.
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
from onnx_evoq.search.pareto import crowding_distance, known, non_dominated_sort

_ROUNDS = 20  # of as many draws as candidates are sought, before one is sought nearby


class NSGA2:
    """Evolves genomes of integers towards several objectives at once; the caller scores them.

    `ask` and `tell` need not pair up: a caller with a cheap guess of the objectives asks for many
    candidates and tells only those that were worth scoring. What was asked for and not told may
    come again.

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
        initial: (individuals, genes), genomes of the first generation. Random ones join them if
            they are fewer than `population`.
        choices: (genes,); gene g lies in [0, choices[g]).
        population: genomes that stay after each generation.
        rng: draws everything.
        crossover_rate: probability that a pair crosses.
        mutation_rate: probability that a gene mutates; one in the number of genes that have a
            choice, if None.

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
        self._told: set[bytes] = set()
        self._parents = self._front = np.empty((0, len(self._choices)), np.int64)
        self._objectives = self._front_objectives = np.empty((0, 0))
        self._ranks, self._crowding = np.empty(0, np.intp), np.empty(0)
        first = {genome.tobytes(): genome for genome in self._checked(initial)}
        self._waiting = self._new(population, self._random, first)

    @property
    def parents(self) -> tuple[Genomes, Float64Array]:
        """What stays: genomes (individuals, genes), best first, and (individuals, objectives)."""
        return self._parents.copy(), self._objectives.copy()

    @property
    def front(self) -> tuple[Genomes, Float64Array]:
        """All that were told and are dominated by none that was, sorted by the first objective.

        Returns:
            Genomes (individuals, genes), and their objectives (individuals, objectives). Genomes
            that have the same objectives are all there, in the order in which they were told;
            those with a NaN or an infinity are not.
        """
        return self._front.copy(), self._front_objectives.copy()

    def ask(self, count: int | None = None) -> Genomes:
        """Candidates to score: the first generation, then offspring; none told, none twice.

        While there are no parents because nothing was told, candidates are random.

        Args:
            count: how many; the whole first generation, then `population`, if None.

        Returns:
            (candidates, genes). Fewer than `count` where that is what is left of the first
            generation, or of all genomes; none if all were told.
        """
        waiting = [genome for genome in self._waiting if genome.tobytes() not in self._told]
        if waiting:
            count = len(waiting) if count is None else count
            self._waiting = waiting[count:]
            return self._stacked(waiting[:count])
        draw = self._offspring if len(self._parents) else self._random
        return self._stacked(self._new(self._population if count is None else count, draw, {}))

    def tell(self, genomes: ArrayLike, objectives: ArrayLike) -> None:
        """Take the objectives of genomes, and select the parents of the next generation.

        Args:
            genomes: (individuals, genes), any that were not told before: some or all that `ask`
                gave, or others.
            objectives: (individuals, objectives), minimised; a NaN or an infinity in any of them
                makes a genome the worst.

        Raises:
            ValueError: the genomes do not fit the choices, one was told before, or there is not one
                row of objectives per genome, as many as ever.
        """
        told, scores = self._checked(genomes), np.asarray(objectives, np.float64)
        if not len(told):
            return
        if scores.ndim != 2 or len(scores) != len(told):
            raise ValueError(f"{len(told)} genomes but objectives of shape {scores.shape}")
        if not self._told:
            self._objectives = self._front_objectives = np.empty((0, scores.shape[1]))
        if scores.shape[1] != self._objectives.shape[1]:
            raise ValueError(
                f"{scores.shape[1]} objectives where there were {self._objectives.shape[1]} before"
            )
        seen = set(self._told)
        for genome in told:
            if genome.tobytes() in seen:
                raise ValueError(f"tell each genome once: {genome.tolist()} was told before")
            seen.add(genome.tobytes())
        self._told = seen
        self._select(told, scores)
        self._archive(told[known(scores)], scores[known(scores)])

    def _select(self, genomes: Genomes, objectives: Float64Array) -> None:
        everyone = np.concatenate([self._parents, genomes])
        scores = np.concatenate([self._objectives, objectives])
        stay, self._ranks, self._crowding = survivors(scores, self._population)
        self._parents, self._objectives = everyone[stay], scores[stay]

    def _archive(self, genomes: Genomes, objectives: Float64Array) -> None:
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
        self, count: int, draw: Callable[[int], Genomes], found: dict[bytes, Genomes]
    ) -> list[Genomes]:
        """What was found, and untold genomes that join it until there are `count`.

        After some rounds of draws that were known already, a random genome is taken, or the first
        after it that is new. So the search ends only where the space does.
        """
        for _ in range(_ROUNDS):
            if len(found) >= count:
                break
            for genome in draw(count):
                if len(found) < count and genome.tobytes() not in self._told:
                    found.setdefault(genome.tobytes(), genome)
        space = math.prod(self._choices.tolist())
        while len(found) < count and len(found) + len(self._told) < space:
            (genome,) = self._random(1)
            while genome.tobytes() in self._told or genome.tobytes() in found:
                genome = following(genome, self._choices)
            found[genome.tobytes()] = genome
        return list(found.values())

    def _checked(self, genomes: ArrayLike) -> Genomes:
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
    """The best `count`: front by front, and the least crowded of the last, if it fits in part.

    Args:
        objectives: (individuals, objectives).
        count: how many stay.

    Returns:
        Their positions, best first, earlier before later among equals; the front that each is in,
        counted from 0; and how crowded it is there. Each is (survivors,).

    Example:
        >>> survivors(np.array([[4., 4.], [0., 3.], [1., 2.], [2., 1.5], [3., 0.]]), 3)
        (array([1, 4, 3]), array([0, 0, 0]), array([       inf,        inf, 1.33333333]))
    """
    indices, ranks, crowding = [], [], []
    left = count
    for rank, front in enumerate(non_dominated_sort(objectives)):
        distance = crowding_distance(objectives[front])
        best = np.argsort(-distance, kind="stable")[:left]
        indices.append(front[best])
        ranks.append(np.full(len(best), rank))
        crowding.append(distance[best])
        left -= len(best)
        if not left:
            break
    return np.concatenate(indices), np.concatenate(ranks), np.concatenate(crowding)


def tournament(
    ranks: Indices, crowding: Float64Array, count: int, rng: np.random.Generator
) -> Indices:
    """Winners, (count,), each of a draw of two: of the lower front, else of the larger distance.

    Args:
        ranks: (individuals,), the front that each is in.
        crowding: (individuals,), how far its neighbours are there.
        count: how many.
        rng: draws who competes.
    """
    one, other = rng.integers(0, len(ranks), size=(2, count))
    same = ranks[one] == ranks[other]
    loses = (ranks[one] > ranks[other]) | (same & (crowding[one] < crowding[other]))
    winners: Indices = np.where(loses, other, one)
    return winners
