"""Crossover and mutation of genomes of integers."""

import numpy as np
import pytest

from onnx_evoq.search.genomes import following, mutate_genomes, random_genomes, uniform_crossover


def test_all_values_of_a_random_gene_are_equally_likely() -> None:
    genomes = random_genomes(6000, np.array([1, 2, 3]), np.random.default_rng(0))
    counts = [np.bincount(genomes[:, gene]).tolist() for gene in range(3)]
    assert counts[0] == [6000]
    assert counts[1] == pytest.approx([3000] * 2, abs=160)  # four deviations
    assert counts[2] == pytest.approx([2000] * 3, abs=150)


def test_crossover_takes_each_gene_from_either_parent() -> None:
    mothers, fathers = np.zeros((4000, 3), np.int64), np.ones((4000, 3), np.int64)
    children = uniform_crossover(mothers, fathers, 1.0, np.random.default_rng(0))
    counts = np.bincount(children @ [1, 2, 4], minlength=8)  # of the eight possible children
    assert counts == pytest.approx(np.full(8, 500), abs=90)


def test_a_pair_that_does_not_cross_gives_the_mother() -> None:
    mothers, fathers = np.zeros((4000, 12), np.int64), np.ones((4000, 12), np.int64)
    children = uniform_crossover(mothers, fathers, 0.75, np.random.default_rng(0))
    assert children.any(axis=1).mean() == pytest.approx(0.75, abs=0.03)
    assert not uniform_crossover(mothers, fathers, 0.0, np.random.default_rng(0)).any()


def test_the_share_of_genes_that_mutate_is_the_rate() -> None:
    parents, choices = np.full((1000, 50), 3), np.full(50, 7)
    children = mutate_genomes(parents, choices, 0.1, np.random.default_rng(0))
    assert (children != parents).mean() == pytest.approx(0.1, abs=0.006)


def test_most_mutations_go_to_a_neighbour_and_the_rest_anywhere() -> None:
    parents, choices = np.full((2000, 20), 2), np.full(20, 6)
    children = mutate_genomes(parents, choices, 1.0, np.random.default_rng(0))
    shares = np.bincount(children.ravel(), minlength=6) / children.size
    anywhere = 0.2 / 5
    assert shares[[1, 3]] == pytest.approx(np.full(2, 0.4 + anywhere), abs=0.01)
    assert shares[[0, 4, 5]] == pytest.approx(np.full(3, anywhere), abs=0.005)
    assert shares[2] == 0


def test_at_the_ends_the_neighbour_is_the_inner_one() -> None:
    parents, choices = np.tile(np.array([0, 4]), (4000, 1)), np.array([5, 5])
    children = mutate_genomes(parents, choices, 1.0, np.random.default_rng(0))
    assert children.min() == 0
    assert children.max() == 4
    assert (children == [1, 3]).mean() == pytest.approx(0.8 + 0.2 / 4, abs=0.02)


def test_a_gene_with_one_choice_stays_and_one_with_two_goes_to_the_other() -> None:
    parents = np.tile(np.array([0, 0, 1]), (50, 1))
    children = mutate_genomes(parents, np.array([1, 2, 2]), 1.0, np.random.default_rng(0))
    assert (children == [0, 1, 0]).all()


def test_the_parents_are_not_changed() -> None:
    parents = np.zeros((5, 3), np.int64)
    mutate_genomes(parents, np.full(3, 4), 1.0, np.random.default_rng(0))
    assert not parents.any()


def test_the_following_genomes_are_all_genomes() -> None:
    choices = np.array([2, 1, 3])
    genome, seen = np.array([1, 0, 1]), []
    for _ in range(6):
        genome = following(genome, choices)
        seen.append(genome.tolist())
    expected = [[1, 0, 2], [0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 0, 0], [1, 0, 1]]
    assert seen == expected
