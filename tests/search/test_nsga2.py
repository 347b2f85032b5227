"""NSGA-II by ask and tell: by hand, and on problems whose front is known."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from onnx_evoq.search.nsga2 import NSGA2, survivors, tournament
from onnx_evoq.search.pareto import hypervolume, non_dominated_sort

Objectives = Callable[[np.ndarray], np.ndarray]

CHOICES = (3, 4, 5)


def started(population: int = 6, seed: int = 0) -> NSGA2:
    return NSGA2([[2, 3, 4]], CHOICES, population, np.random.default_rng(seed))


def sum_and_distance(genomes: np.ndarray) -> np.ndarray:
    """Two objectives: one grows with the genes, the other falls."""
    return np.stack([genomes.sum(axis=1), ((np.array(CHOICES) - genomes) ** 2).sum(axis=1)], axis=1)


def rows(genomes: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(genome) for genome in genomes.tolist()]


def everything(choices: tuple[int, ...] = CHOICES) -> np.ndarray:
    return np.array(list(product(*map(range, choices))))


def test_the_first_generation_has_the_initial_genomes_and_random_ones() -> None:
    search = NSGA2([[2, 3, 4], [0, 1, 0]], CHOICES, 6, np.random.default_rng(0))
    first = search.ask()
    assert rows(first)[:2] == [(2, 3, 4), (0, 1, 0)]
    assert len(set(rows(first))) == 6
    assert (first >= 0).all()
    assert (first < CHOICES).all()


def test_a_complete_first_generation_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    NSGA2(everything()[:6], CHOICES, 6, rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_all_initial_genomes_are_proposed_once_even_if_more_than_the_population() -> None:
    given = everything()[:30]
    search = NSGA2(np.concatenate([given, given[:5]]), CHOICES, 4, np.random.default_rng(0))
    asked = search.ask()
    assert rows(asked) == rows(given)
    search.tell(asked, sum_and_distance(asked))
    assert len(search.parents[0]) == 4
    assert len(search.ask()) == 4


def test_the_first_generation_can_be_asked_for_in_parts() -> None:
    whole, search = started().ask(), started()
    parts = [search.ask(4), search.ask(4)]
    assert [len(part) for part in parts] == [4, 2]
    assert rows(np.concatenate(parts)) == rows(whole)


def test_no_genome_is_proposed_after_it_was_scored_and_none_twice() -> None:
    search, told = started(), set()
    for count in (None, 5, 11, 20):
        asked = search.ask(count)
        assert len(asked) == (6 if count is None else count)
        assert len(set(rows(asked)) - told) == len(asked)
        told |= set(rows(asked))
        search.tell(asked, sum_and_distance(asked))


def test_it_ends_when_all_genomes_were_scored() -> None:
    search, told = started(), []
    while len(asked := search.ask(7)):
        told += rows(asked)
        search.tell(asked, sum_and_distance(asked))
    assert sorted(told) == rows(everything())
    assert search.ask().shape == (0, 3)


def test_the_last_genome_is_found_wherever_it_is() -> None:
    for last in range(0, 60, 7):
        search, others = started(), np.delete(everything(), last, axis=0)
        search.tell(others, sum_and_distance(others))
        assert rows(search.ask()) == [rows(everything())[last]]


def test_all_genomes_are_proposed_if_they_are_fewer_than_the_population() -> None:
    search = NSGA2([], (2, 1, 3), 50, np.random.default_rng(0))
    assert sorted(rows(search.ask())) == rows(everything((2, 1, 3)))


def test_there_may_be_more_genomes_than_64_bits_can_count() -> None:
    search = NSGA2([], [9] * 60, 5, np.random.default_rng(0))
    first = search.ask()
    search.tell(first, np.stack([first.sum(axis=1), -first.sum(axis=1)], axis=1))
    assert search.ask(50).shape == (50, 60)


def test_candidates_may_be_left_unscored() -> None:
    search = started()
    first = search.ask()
    search.tell(first, sum_and_distance(first))
    asked = search.ask(30)
    promising = asked[np.argsort(sum_and_distance(asked)[:, 1])[:3]]
    search.tell(promising, sum_and_distance(promising))
    search.tell(asked[:0], sum_and_distance(asked[:0]))
    known = set(rows(first)) | set(rows(promising))
    assert set(rows(search.front[0])) <= known
    assert len(search.ask(60 - len(known))) == 60 - len(known)  # what was dropped may come again


def test_other_genomes_than_the_candidates_may_be_scored() -> None:
    search = started()
    search.tell([[2, 3, 4]], [[1.0, 1.0]])
    assert len(search.ask()) == 5  # the rest of the first generation
    assert rows(search.front[0]) == [(2, 3, 4)]


def test_before_any_score_candidates_are_random() -> None:
    search = started()
    search.ask()
    asked = search.ask(40)
    assert len(set(rows(asked))) == 40


def test_without_mutation_children_are_mixtures() -> None:
    rng = np.random.default_rng(0)
    search = NSGA2([[1] * 20, [3] * 20], [5] * 20, 2, rng, crossover_rate=1.0, mutation_rate=0.0)
    search.tell(search.ask(), np.array([[0.0, 1.0], [1.0, 0.0]]))
    children = search.ask(100)
    assert set(np.unique(children)) == {1, 3}
    assert (children == 3).mean() == pytest.approx(0.5, abs=0.05)


def test_the_mutation_rate_is_one_in_the_genes_that_have_a_choice() -> None:
    choices = np.repeat([1, 1000], 300)
    start = choices // 2
    search = NSGA2([start], choices, 1, np.random.default_rng(0))
    search.tell(search.ask(), np.zeros((1, 2)))
    moved = (search.ask(200) != start).sum(axis=1)
    # Binomial with mean 1, without the children that are their parents: 1 / (1 - 1 / e).
    assert moved.mean() == pytest.approx(1.58, abs=0.15)


def test_parents_compete_with_their_children() -> None:
    search = NSGA2([[0, 0, 0], [1, 1, 1]], CHOICES, 2, np.random.default_rng(0))
    search.tell(search.ask(), np.array([[1.0, 4.0], [4.0, 1.0]]))
    children = search.ask()
    search.tell(children, np.array([[5.0, 5.0], [0.0, 4.0]]))
    genomes, objectives = search.parents
    assert objectives.tolist() == [[4.0, 1.0], [0.0, 4.0]]
    assert rows(genomes) == [(1, 1, 1), rows(children)[1]]


def test_survivors_are_the_best_fronts_and_of_the_last_the_least_crowded() -> None:
    first, second = [[0, 1], [1, 0]], [[1, 9], [2, 8], [3, 3], [9, 1]]
    # Within the second front: infinite, 2/8 + 6/8, 7/8 + 7/8, infinite.
    indices, ranks, crowding = survivors(np.array([*second, *first, [10, 10]]), 5)
    assert indices.tolist() == [4, 5, 0, 3, 2]
    assert ranks.tolist() == [0, 0, 1, 1, 1]
    assert crowding.tolist() == [np.inf] * 4 + [1.75]


def test_a_tournament_is_won_by_the_front_then_by_the_distance() -> None:
    ranks, crowding = np.array([1, 0, 0]), np.array([np.inf, 0.5, 2.0])
    wins = np.bincount(tournament(ranks, crowding, 9000, np.random.default_rng(0)), minlength=3)
    # Of nine equally likely draws: (0, 0) alone gives 0, and 2 is in five.
    assert wins == pytest.approx([1000, 3000, 5000], abs=190)  # four deviations


def test_the_front_is_that_of_all_scored_genomes_whenever_they_were_scored() -> None:
    rng = np.random.default_rng(3)
    genomes, search = rng.permutation(everything()), started(population=4)
    size = rng.integers(0, 30, 60).astype(float)
    objectives = np.stack([size, 30 - size + rng.integers(0, 3, 60)], axis=1)
    for part in np.array_split(np.arange(60), 9):
        search.tell(genomes[part], objectives[part])
    best = non_dominated_sort(objectives)[0]
    assert len(best) > 4  # more than stay
    expected = best[np.argsort(objectives[best, 0], kind="stable")]
    assert rows(search.front[0]) == rows(genomes[expected])
    assert search.front[1].tolist() == objectives[expected].tolist()


def test_genomes_with_the_same_objectives_are_all_in_the_front() -> None:
    search = started()
    search.tell([[1, 1, 1], [0, 0, 0]], [[2, 2], [3, 3]])
    search.tell([[2, 2, 2], [0, 0, 1]], [[2, 2], [1, 3]])
    assert rows(search.front[0]) == [(0, 0, 1), (1, 1, 1), (2, 2, 2)]


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_genomes_whose_objectives_are_not_finite_are_the_worst(unknown: float) -> None:
    search = started(population=2)
    search.tell([[0, 0, 0], [1, 1, 1]], [[0, unknown], [unknown, 0]])
    assert search.front[0].shape == (0, 3)
    search.ask()  # what is left of the first generation
    assert len(search.ask(10)) == 10
    search.tell([[2, 2, 2], [0, 0, 1], [0, 0, 2]], [[8, 8], [9, 9], [unknown, unknown]])
    assert rows(search.parents[0]) == [(2, 2, 2), (0, 0, 1)]
    assert rows(search.front[0]) == [(2, 2, 2)]


def test_changes_to_returned_arrays_do_not_change_the_search() -> None:
    search, objectives = started(), np.array([[1.0, 2.0]])
    asked = search.ask(1)
    search.tell(asked, objectives)
    for mine in (asked, objectives, *search.front, *search.parents):
        mine[:] = 0
    assert rows(search.front[0]) == rows(search.parents[0]) == [(2, 3, 4)]
    assert search.front[1].tolist() == search.parents[1].tolist() == [[1.0, 2.0]]


def test_the_same_seed_gives_the_same_search() -> None:
    one, two = started(seed=5), started(seed=5)
    for _ in range(5):
        first, second = one.ask(), two.ask()
        assert rows(first) == rows(second)
        one.tell(first, sum_and_distance(first))
        two.tell(second, sum_and_distance(second))


def test_there_may_be_more_than_two_objectives() -> None:
    search = started(population=3)
    search.tell(np.eye(3, dtype=int), np.eye(3))
    search.tell([[0, 0, 0]], [[0, 0.5, 0]])
    assert rows(search.front[0]) == [(0, 0, 1), (0, 0, 0), (1, 0, 0)]


@pytest.mark.parametrize(
    ("initial", "choices", "population", "message"),
    [
        ([[0, 3]], [2, 3], 4, r"genome \[0, 3\] is out of range: its genes have \[2, 3\] choices"),
        ([[-1, 0]], [2, 3], 4, r"genome \[-1, 0\] is out of range"),
        ([[0, 1, 0]], [2, 3], 4, r"integers of shape \(individuals, 2\), not int64 of shape"),
        ([[0.0, 1.0]], [2, 3], 4, r"integers of shape \(individuals, 2\), not float64"),
        ([], [2, 0], 4, r"one choice or more, not \[2, 0\]"),
        ([], [2, 3], 0, "population of 0 cannot evolve"),
    ],
)
def test_genomes_fit_the_choices(
    initial: list[list[float]], choices: list[int], population: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        NSGA2(initial, choices, population, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("genomes", "objectives", "message"),
    [
        ([[0, 0, 0]], [1.0, 2.0], r"1 genomes but objectives of shape \(2,\)"),
        ([[0, 0, 0]], [[1.0, 2.0], [1.0, 2.0]], r"1 genomes but objectives of shape \(2, 2\)"),
        ([[0, 0, 0]], [[1.0, 2.0, 3.0]], "3 objectives where there were 2 before"),
        ([[0, 0, 0], [0, 0, 0]], [[1, 2], [1, 2]], r"once: \[0, 0, 0\] was told before"),
        ([[1, 1, 1]], [[1.0, 2.0]], r"once: \[1, 1, 1\] was told before"),
        ([[0, 0, 9]], [[1.0, 2.0]], r"genome \[0, 0, 9\] is out of range"),
    ],
)
def test_a_refused_tell_leaves_the_search_unchanged(
    genomes: list[list[int]], objectives: list[list[float]], message: str
) -> None:
    search = started()
    search.tell([[1, 1, 1]], [[5.0, 5.0]])
    with pytest.raises(ValueError, match=message):
        search.tell(genomes, objectives)
    assert rows(search.front[0]) == [(1, 1, 1)]
    search.tell([[0, 0, 0]], [[1.0, 2.0]])
    assert rows(search.front[0]) == [(0, 0, 0)]


def leading_ones_trailing_zeros(genomes: np.ndarray) -> np.ndarray:
    """Both negated. The front is 1...10...0, one point more than there are genes."""
    ones = np.cumprod(genomes, axis=1).sum(axis=1)
    zeros = np.cumprod(1 - genomes[:, ::-1], axis=1).sum(axis=1)
    return -np.stack([ones, zeros], axis=1).astype(float)


def size_and_error(genomes: np.ndarray) -> np.ndarray:
    """Layers of 2 to 6 bits: their errors fall fourfold with each bit, and neighbours' add up."""
    bits, weights, sensitivity = genomes + 2, [1, 3, 9, 5, 2, 4], [40, 9, 4, 2, 11, 6]
    errors = sensitivity * 4.0**-bits  # (genomes, layers)
    both = np.sqrt(errors[:, :-1] * errors[:, 1:])
    return np.stack([bits @ weights, errors.sum(axis=1) + both.sum(axis=1)], axis=1)


def evolved(objectives: Objectives, choices: np.ndarray) -> np.ndarray:
    search = NSGA2([], choices, 60, np.random.default_rng(1))
    for _ in range(40):
        genomes = search.ask()
        search.tell(genomes, objectives(genomes))
    return search.front[1]


def test_it_finds_all_of_a_known_front() -> None:
    truth = [[-float(ones), -float(14 - ones)] for ones in range(14, -1, -1)]
    found = evolved(leading_ones_trailing_zeros, np.full(14, 2))  # 2,400 of 16,384 genomes
    assert np.unique(found, axis=0).tolist() == truth


def test_it_covers_nearly_the_area_of_a_larger_front() -> None:
    points = size_and_error(everything((5,) * 6))
    worst = points.max(axis=0) + 1
    found = evolved(size_and_error, np.full(6, 5))  # 2,400 of 15,625 genomes
    share = hypervolume(found, worst) / hypervolume(points, worst)
    assert 0.99 < share <= 1 + 1e-12  # the sums have another order
