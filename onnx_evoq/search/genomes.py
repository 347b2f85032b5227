"""Crossover and mutation of genomes: rows of integers, in which gene g lies in [0, choices[g]).

Neighbouring values of a gene are similar: a gene is a bit width or a share of channels, in order.
So most mutations go to a neighbouring value. Some go to any value, so that bad values in between
are no barrier.
"""

import numpy as np
from numpy.typing import NDArray

Genomes = NDArray[np.int64]

_JUMP = 0.2  # share of mutations that go to any other value


def random_genomes(count: int, choices: Genomes, rng: np.random.Generator) -> Genomes:
    """Draw genomes, (count, genes), in which all values of a gene are equally likely."""
    return rng.integers(0, choices, size=(count, len(choices)))


def uniform_crossover(
    mothers: Genomes, fathers: Genomes, rate: float, rng: np.random.Generator
) -> Genomes:
    """Make a child of each pair: each gene is the mother's or the father's, with equal odds.

    Args:
        mothers: (pairs, genes).
        fathers: (pairs, genes).
        rate: probability that a pair crosses; otherwise the child is a copy of the mother.
        rng: draws pairs and genes.

    Returns:
        (pairs, genes).
    """
    crosses = rng.random((len(mothers), 1)) < rate  # (pairs, 1)
    return np.where(crosses & (rng.random(mothers.shape) < 0.5), fathers, mothers)


def mutate_genomes(
    genomes: Genomes, choices: Genomes, rate: float, rng: np.random.Generator
) -> Genomes:
    """Make children whose genes mutate independently of each other.

    1. With probability 4/5 a mutating gene moves by -1 or +1, with equal odds. At either end of its
       range it moves inwards.
    2. Otherwise it takes any other value, with equal odds.
    3. A gene with one choice never mutates.

    Args:
        genomes: (individuals, genes).
        choices: (genes,), the number of values of each gene.
        rate: probability that a gene mutates.
        rng: draws which genes mutate, and how.

    Returns:
        (individuals, genes).
    """
    shape = genomes.shape
    mutates = (rng.random(shape) < rate) & (choices > 1)
    near = genomes + rng.choice([-1, 1], size=shape)
    near = np.where(near < 0, 1, np.where(near >= choices, choices - 2, near))
    far = (genomes + rng.integers(1, np.maximum(choices, 2), size=shape)) % choices
    return np.where(mutates, np.where(rng.random(shape) < _JUMP, far, near), genomes)


def following(genome: Genomes, choices: Genomes) -> Genomes:
    """The next genome, (genes,), in lexicographic order; the first one follows the last.

    Example:
        >>> following(np.array([0, 1, 2]), np.array([2, 2, 3])).tolist()
        [1, 0, 0]
    """
    after = genome.copy()
    for gene in reversed(range(len(genome))):
        after[gene] = (genome[gene] + 1) % choices[gene]
        if after[gene]:
            break
    return after
