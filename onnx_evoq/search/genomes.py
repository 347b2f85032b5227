"""Variation of genomes: rows of integers, of which gene g lies in [0, choices[g]).

Neighbouring values of a gene are alike (bit widths in their order, shares of channels in theirs),
so that mutation mostly goes to one of them; it sometimes goes anywhere, so that no value is out of
reach behind bad ones.
"""

import numpy as np
from numpy.typing import NDArray

Genomes = NDArray[np.int64]

_JUMP = 0.2  # share of mutations that go anywhere


def random_genomes(count: int, choices: Genomes, rng: np.random.Generator) -> Genomes:
    """Genomes, (count, genes), in which each value is as likely as any other."""
    return rng.integers(0, choices, size=(count, len(choices)))


def uniform_crossover(
    mothers: Genomes, fathers: Genomes, rate: float, rng: np.random.Generator
) -> Genomes:
    """A child of each pair: each gene is the mother's or the father's, with equal odds.

    Args:
        mothers: (pairs, genes).
        fathers: (pairs, genes).
        rate: probability that a pair crosses; the child is the mother otherwise.
        rng: draws pairs and genes.

    Returns:
        (pairs, genes).
    """
    crosses = rng.random((len(mothers), 1)) < rate  # (pairs, 1)
    return np.where(crosses & (rng.random(mothers.shape) < 0.5), fathers, mothers)


def mutate_genomes(
    genomes: Genomes, choices: Genomes, rate: float, rng: np.random.Generator
) -> Genomes:
    """Children whose genes mutate independently.

    1. Four times in five a gene moves by -1 or +1, with equal odds; at either end of its range it
       moves inwards.
    2. Otherwise it takes any other value, with equal odds.
    3. A gene with one choice stays.

    Args:
        genomes: (individuals, genes).
        choices: (genes,).
        rate: probability that a gene mutates.
        rng: draws genes and moves.

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
    """The next genome, (genes,), in lexicographic order; the first one after the last.

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
