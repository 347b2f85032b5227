"""Neuroevolution by ask and tell."""

import numpy as np
import pytest

from onnx_evoq.search import Neuroevolution, mutate


def started(population: int = 4, seed: int = 0) -> Neuroevolution:
    rng = np.random.default_rng(seed)
    return Neuroevolution(
        np.array([[1, -2], [3, 0]], np.int8),
        population,
        lambda codes: mutate(codes, 0.3, -8, 7, rng),
    )


def test_the_start_is_asked_for_once_and_first() -> None:
    search = started()
    (start,) = search.ask()
    assert start.tolist() == [[1, -2], [3, 0]]
    search.tell(np.array([5.0]))
    assert [codes.shape for codes in search.ask()] == [(2, 2)] * 4


def test_the_best_is_the_start_until_something_is_better() -> None:
    search = started()
    search.ask()
    search.tell(np.array([5.0]))
    search.ask()
    search.tell(np.array([6.0, 7.0, 5.5, 9.0]))
    assert search.best.tolist() == [[1, -2], [3, 0]]
    assert search.best_fitness == 5.0


def test_parents_compete_with_their_children() -> None:
    search = started(population=2)
    search.ask()
    search.tell(np.array([5.0]))
    children = search.ask()
    search.tell(np.array([4.0, 9.0]))
    better = search.ask()
    search.tell(np.array([8.0, 8.0]))  # none stays: the child of 4.0 and a start of 5.0 do
    assert (search.best == children[0]).all()
    assert search.best_fitness == 4.0
    assert len(better) == 2


def test_the_best_never_gets_worse() -> None:
    search, rng, before = started(), np.random.default_rng(1), np.inf
    for _ in range(30):
        search.tell(rng.random(len(search.ask())))
        assert search.best_fitness <= before
        before = search.best_fitness


def test_candidates_of_unknown_fitness_are_never_chosen() -> None:
    search = started()
    search.ask()
    search.tell(np.array([5.0]))
    search.ask()
    search.tell(np.full(4, np.nan))
    assert search.best_fitness == 5.0


def test_a_start_of_unknown_fitness_gives_way() -> None:
    search = started()
    search.ask()
    search.tell(np.array([np.nan]))
    assert search.best_fitness == np.inf
    search.ask()
    search.tell(np.array([np.nan, 3.0, np.nan, np.nan]))
    assert search.best_fitness == 3.0


def test_it_finds_a_target_that_is_near() -> None:
    target = np.array([[2, 0], [-1, 1]])
    search = started(population=8)
    for _ in range(60):
        search.tell(np.array([float(np.abs(codes - target).sum()) for codes in search.ask()]))
    assert search.best.tolist() == target.tolist()


def test_a_scalar_weight_evolves() -> None:
    rng = np.random.default_rng(0)
    search = Neuroevolution(np.array(1, np.int8), 2, lambda codes: mutate(codes, 0.02, -8, 7, rng))
    for _ in range(30):
        search.tell(np.array([abs(float(codes) - 5) for codes in search.ask()]))
    assert search.best == 5


def test_tell_goes_with_ask() -> None:
    with pytest.raises(RuntimeError, match=r"call ask\(\) first"):
        started().tell(np.array([1.0]))
    search = started()
    search.ask()
    with pytest.raises(ValueError, match="1 candidates but fitness of shape"):
        search.tell(np.array([1.0, 2.0]))
