"""Coevolution of many codes at once, those first whose values are least certain."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.search import Coevolution
from onnx_evoq.search.coevolution import recombination_weights, shared_weights

Codes = NDArray[np.int8]


def search_of(
    gaps: NDArray[np.float64], size: int, population: int = 16, seed: int = 0, **given: Any
) -> Coevolution:
    """A search from zeros in which +1 is the second-best code, and costs `gaps` (at most 1)."""
    codes, limits = np.zeros(len(gaps), np.int8), {"low": -8, "high": 7, **given}
    return Coevolution(
        codes, limits["low"], limits["high"], gaps, 2 - gaps, population, size,
        np.random.default_rng(seed),
    )  # fmt: skip


def turn(search: Coevolution, cost: Callable[[Codes], float]) -> list[Codes]:
    """Ask, score and tell once; the candidates."""
    asked = search.ask()
    search.tell(asked, np.array([cost(codes) for codes in asked]))
    return asked


def distance_to(target: NDArray[np.int64]) -> Callable[[Codes], float]:
    return lambda codes: float(np.abs(codes - target).sum())


def test_the_start_is_scored_first() -> None:
    search = search_of(np.full(4, 0.5), 2)
    assert search.deciding
    assert [codes.tolist() for codes in search.ask()] == [[0, 0, 0, 0]]
    search.tell(search.ask(), np.array([5.0]))
    assert (search.best_fitness, search.deciding) == (5.0, False)


def test_only_the_least_certain_codes_move() -> None:
    search = search_of(np.array([0.9, 0.1, 0.8, 0.2, 0.7]), 2)
    turn(search, lambda codes: 1.0)
    drawn = np.array(search.ask())
    assert sorted(set(np.nonzero(drawn)[1].tolist())) == [1, 3]


def test_gaps_are_what_the_cheaper_move_costs() -> None:
    search = search_of(np.array([0.25, 1.0, 0.5]), 1)
    assert search.gaps.tolist() == [0.25, 1.0, 0.5]


def test_codes_without_a_way_out_are_certain() -> None:
    search = search_of(np.array([0.1, 0.2]), 2, low=0, high=0)
    assert np.isinf(search.gaps).all()


def test_moves_have_the_odds_of_a_normal_deviate() -> None:
    gaps = np.array([0.0, 0.25, 0.5])  # of the largest: 0, 1/2, 1
    search = search_of(gaps, 3, population=8000)
    turn(search, lambda codes: 1.0)
    share = (np.array(search.ask()) == 1).mean(axis=0)
    assert share == pytest.approx([0.5, 0.3085, 0.1587], abs=0.02)


def test_candidates_come_in_mirrored_pairs() -> None:
    codes = np.zeros(50, np.int8)
    search = Coevolution(
        codes, -8, 7, np.ones(50), np.ones(50), 8, 50, np.random.default_rng(0)
    )  # both moves cost the same
    turn(search, lambda codes: 1.0)
    drawn = np.array(search.ask())
    assert drawn.any()
    assert (drawn[:4] == -drawn[4:]).all()


def test_the_evidence_of_joint_candidates_tells_good_moves_from_bad() -> None:
    good = np.arange(40) % 2 == 0
    search = search_of(np.full(40, 0.1), 40, population=400)
    turn(search, lambda codes: 0.0)
    turn(search, lambda codes: float((codes * np.where(good, -1, 1)).sum()))
    assert ((search.ask()[3] == 1) == good).mean() > 0.95


def test_the_context_moves_only_to_something_better() -> None:
    search = search_of(np.full(6, 0.2), 6)
    turn(search, lambda codes: 1.0)
    turn(search, lambda codes: float(codes.sum()))
    turn(search, lambda codes: 1.0)  # as good as the context, no better
    assert not search.best.any()
    assert search.best_fitness == 1.0


def test_the_best_never_gets_worse() -> None:
    rng = np.random.default_rng(1)
    search, before = search_of(rng.random(30), 10), np.inf
    for _ in range(60):
        turn(search, lambda codes: rng.random())
        assert search.best_fitness <= before
        before = search.best_fitness


def test_what_the_population_speaks_against_hardens() -> None:
    search = search_of(np.full(20, 0.2), 20, population=64)
    turn(search, lambda codes: 0.0)
    turn(search, lambda codes: float(codes.sum()))  # every move is for the worse
    turn(search, lambda codes: float(codes.sum()))
    assert (search.gaps > 0.2).mean() > 0.9


def test_others_take_the_place_of_what_hardened() -> None:
    search, seen = search_of(np.linspace(0.1, 0.9, 60), 8, population=32), set[int]()
    for _ in range(40):
        seen.update(np.nonzero(np.array(turn(search, lambda codes: float(codes.sum()))))[1])
    assert len(seen) > 20


def test_hardened_codes_open_again_as_the_context_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.search.coevolution._RETURN", 1.0)
    search = search_of(np.full(40, 0.2), 40, population=64)
    turn(search, lambda codes: 1000.0)
    for _ in range(2):
        turn(search, lambda codes: 1000.0 + float(codes.sum()))  # every move is for the worse
    assert search.gaps.mean() > 0.21
    for _ in range(2):
        turn(search, lambda codes: -float(codes.sum()))
    assert search.best.any()
    assert search.gaps[search.best == 0] == pytest.approx(0.2)


def test_the_group_shrinks_where_nothing_is_found() -> None:
    search = search_of(np.full(200, 0.5), 50, low=0)
    turn(search, lambda codes: 0.0)
    for _ in range(4):
        turn(search, lambda codes: float(codes.sum()))
    assert search._size < 50


def test_the_group_grows_where_the_longest_way_is_best() -> None:
    search = search_of(np.full(200, 0.5), 50)
    for _ in range(5):
        turn(search, lambda codes: -float(codes.sum()))
    assert search._size > 50


@pytest.mark.parametrize("seed", [0, 1])
def test_it_finds_a_target_that_is_near(seed: int) -> None:
    target = np.random.default_rng(9).integers(-1, 2, 60)
    search = Coevolution(
        np.zeros(60, np.int8), -2, 1, np.ones(60), np.ones(60), 32, 20, np.random.default_rng(seed)
    )
    for _ in range(400):
        turn(search, distance_to(target))
    assert search.best_fitness <= 0.25 * np.abs(target).sum()


def test_codes_stay_within_limits_of_their_own() -> None:
    low, high = np.array([-2, 0] * 20), np.array([1, 0] * 20)
    search = search_of(np.full(40, 0.1), 40, low=low, high=high)
    for _ in range(60):
        for codes in turn(search, lambda codes: -float(codes.sum())):
            assert (low <= codes).all()
            assert (codes <= high).all()
    assert search.best.tolist() == [1, 0] * 20


def test_unknown_fitness_is_the_worst() -> None:
    search = search_of(np.full(8, 0.1), 8)
    turn(search, lambda codes: float("nan"))
    assert search.best_fitness == np.inf
    turn(search, lambda codes: float("nan"))
    turn(search, lambda codes: 3.0 if codes.any() else float("nan"))
    assert search.best_fitness in (3.0, np.inf)


def test_the_same_seed_draws_the_same() -> None:
    found = []
    for seed in (5, 5, 6):
        search = search_of(np.linspace(0, 1, 50), 20, seed=seed)
        for _ in range(9):
            turn(search, distance_to(np.arange(50) % 2))
        found.append(search.best.tobytes())
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("count", [2, 3, 16, 33])
def test_weights_of_ranks_fall_and_sum_to_nothing(count: int) -> None:
    weights = recombination_weights(count)
    assert weights.sum() == pytest.approx(0, abs=1e-12)
    assert (np.diff(weights) <= 1e-12).all()


def test_without_differences_there_is_no_evidence() -> None:
    assert shared_weights(np.ones(8), recombination_weights(8)) == pytest.approx(
        np.zeros(8), abs=1e-12
    )
