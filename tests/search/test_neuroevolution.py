"""Neuroevolution by ask and tell."""

import numpy as np

from onnx_evoq.search import Neuroevolution, mutate


def started(population: int = 4, seed: int = 0) -> Neuroevolution:
    rng = np.random.default_rng(seed)
    return Neuroevolution(
        np.array([[1, -2], [3, 0]], np.int8),
        population,
        lambda codes: mutate(codes, 0.3, -8, 7, rng),
    )


def test_the_start_is_the_first_candidate_and_alone() -> None:
    search = started()
    asked = search.ask()
    assert [start.tolist() for start in asked] == [[[1, -2], [3, 0]]]
    search.tell(asked, np.array([5.0]))
    assert [codes.shape for codes in search.ask()] == [(2, 2)] * 4


def test_the_best_is_the_start_until_something_is_better() -> None:
    search = started()
    search.tell(search.ask(), np.array([5.0]))
    search.tell(search.ask(), np.array([6.0, 7.0, 5.5, 9.0]))
    assert search.best.tolist() == [[1, -2], [3, 0]]
    assert search.best_fitness == 5.0


def test_parents_compete_with_their_children() -> None:
    search = started(population=2)
    search.tell(search.ask(), np.array([5.0]))
    children = search.ask()
    search.tell(children, np.array([4.0, 9.0]))
    better = search.ask()
    search.tell(better, np.array([8.0, 8.0]))  # none stays: the child of 4.0 and a start of 5.0 do
    assert (search.best == children[0]).all()
    assert search.best_fitness == 4.0
    assert [codes.tolist() for codes in search.parents] == [
        children[0].tolist(),
        [[1, -2], [3, 0]],
    ]


def test_before_any_score_the_best_is_the_start_and_infinitely_bad() -> None:
    search = started()
    assert search.best.tolist() == [[1, -2], [3, 0]]
    assert search.best_fitness == np.inf
    assert len(search.parents) == 4


def test_each_parent_has_one_child() -> None:
    search = Neuroevolution(np.zeros(1, np.int8), 3, lambda codes: codes + np.int8(1))
    search.tell(search.ask(), np.array([9.0]))
    search.tell(search.ask(), np.array([1.0, 10.0, 10.0]))
    assert [codes.tolist() for codes in search.ask()] == [[2], [1], [1]]


def test_the_best_never_gets_worse() -> None:
    search, rng, before = started(), np.random.default_rng(1), np.inf
    for _ in range(30):
        asked = search.ask()
        search.tell(asked, rng.random(len(asked)))
        assert search.best_fitness <= before
        before = search.best_fitness


def test_candidates_with_a_fitness_of_nan_are_not_selected() -> None:
    search = started()
    search.tell(search.ask(), np.array([5.0]))
    search.tell(search.ask(), np.full(4, np.nan))
    assert search.best_fitness == 5.0


def test_a_start_with_a_fitness_of_nan_is_replaced() -> None:
    search = started()
    search.tell(search.ask(), np.array([np.nan]))
    assert search.best_fitness == np.inf
    search.tell(search.ask(), np.array([np.nan, 3.0, np.nan, np.nan]))
    assert search.best_fitness == 3.0


def test_it_finds_a_target_that_is_near() -> None:
    target = np.array([[2, 0], [-1, 1]])
    search = started(population=8)
    for _ in range(60):
        asked = search.ask()
        search.tell(asked, np.array([float(np.abs(codes - target).sum()) for codes in asked]))
    assert search.best.tolist() == target.tolist()


def test_a_scalar_weight_evolves() -> None:
    rng = np.random.default_rng(0)
    search = Neuroevolution(np.array(1, np.int8), 2, lambda codes: mutate(codes, 0.02, -8, 7, rng))
    for _ in range(30):
        asked = search.ask()
        search.tell(asked, np.array([abs(float(codes) - 5) for codes in asked]))
    assert search.best == 5
