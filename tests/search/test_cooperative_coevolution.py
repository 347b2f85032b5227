"""Coevolution of many codes at once, with the least certain codes first."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.search import Coevolution
from onnx_evoq.search.cooperative_coevolution import recombination_weights, shared_weights

Codes = NDArray[np.int8]


def search_of(
    gaps: NDArray[np.float64], size: int, population: int = 16, seed: int = 0, **given: Any
) -> Coevolution:
    """A search from zeros, in which +1 is the cheaper move and costs `gaps` (at most 1)."""
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


def test_the_gap_is_the_cost_of_the_cheaper_move() -> None:
    search = search_of(np.array([0.25, 1.0, 0.5]), 1)
    assert search.gaps.tolist() == [0.25, 1.0, 0.5]


def test_a_code_that_cannot_move_has_an_infinite_gap() -> None:
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


def test_the_evidence_of_all_candidates_separates_good_moves_from_bad() -> None:
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


def test_evidence_against_moves_makes_the_gaps_larger() -> None:
    search = search_of(np.full(20, 0.2), 20, population=64)
    turn(search, lambda codes: 0.0)
    turn(search, lambda codes: float(codes.sum()))  # every move is for the worse
    turn(search, lambda codes: float(codes.sum()))
    assert (search.gaps > 0.2).mean() > 0.9


def test_other_codes_take_the_place_of_those_that_became_certain() -> None:
    search, seen = search_of(np.linspace(0.1, 0.9, 60), 8, population=32), set[int]()
    for _ in range(40):
        seen.update(np.nonzero(np.array(turn(search, lambda codes: float(codes.sum()))))[1])
    assert len(seen) > 20


def test_certain_codes_become_uncertain_again_when_the_context_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onnx_evoq.search.cooperative_coevolution._RETURN", 1.0)
    search = search_of(np.full(40, 0.2), 40, population=64)
    turn(search, lambda codes: 1000.0)
    for _ in range(2):
        turn(search, lambda codes: 1000.0 + float(codes.sum()))  # every move is for the worse
    assert search.gaps.mean() > 0.21
    for _ in range(2):
        turn(search, lambda codes: -float(codes.sum()))
    assert search.best.any()
    assert search.gaps[search.best == 0] == pytest.approx(0.2)


def test_the_group_shrinks_when_the_line_search_finds_nothing() -> None:
    search = search_of(np.full(200, 0.5), 50, low=0)
    turn(search, lambda codes: 0.0)
    for _ in range(4):
        turn(search, lambda codes: float(codes.sum()))
    assert search._size < 50


def test_the_group_grows_when_the_longest_step_is_the_best() -> None:
    search = search_of(np.full(200, 0.5), 50)
    for _ in range(5):
        turn(search, lambda codes: -float(codes.sum()))
    assert search._size > 50


def test_it_finds_a_target_that_is_near() -> None:
    target = np.random.default_rng(9).integers(-1, 2, 60)
    search = Coevolution(
        np.zeros(60, np.int8), -2, 1, np.ones(60), np.ones(60), 32, 20, np.random.default_rng(0)
    )
    for _ in range(300):
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


def test_a_fitness_of_nan_is_the_worst() -> None:
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


def pair_of(up: NDArray[np.float64], down: NDArray[np.float64], seed: int = 0) -> Coevolution:
    """A scored search whose candidates are one mirrored pair that moves all codes."""
    codes = np.zeros(len(up), np.int8)
    search = Coevolution(codes, -8, 7, up, down, 2, len(up), np.random.default_rng(seed))
    turn(search, lambda codes: 0.0)
    return search


def test_evidence_of_a_pair_is_the_move_of_the_better_one() -> None:
    search = pair_of(np.ones(40), np.ones(40))
    better, worse = search.ask()
    assert (better == -worse).all()
    search.tell([better, worse], np.array([1.0, 2.0]))  # with weights 1/2 and -1/2
    context, *successors = search.ask()
    assert not context.any()
    assert [codes.tolist() for codes in successors] == [better.tolist()] * 3


def with_evidence(*evidence: float) -> Coevolution:
    """A search whose population has this evidence; every move costs 1, the largest gap."""
    search = pair_of(np.ones(len(evidence)), np.ones(len(evidence)))
    pair = search.ask()
    search._drawn_moves = np.stack([2 * np.array(evidence), np.zeros(len(evidence))])
    search.tell(pair, np.array([1.0, 2.0]))  # with weights 1/2 and -1/2
    return search


def test_each_length_moves_the_codes_whose_evidence_exceeds_their_cost() -> None:
    _, *successors = with_evidence(0.34, 0.26, -0.12, 0.105, -0.0365).ask()
    assert [codes.tolist() for codes in successors] == [
        [1, 0, 0, 0, 0],  # 3 * evidence exceeds 1
        [1, 1, -1, 0, 0],  # 9 * evidence
        [1, 1, -1, 1, 0],  # 27 * evidence
    ]


def test_ideal_codes_shift_by_the_evidence_times_the_length_where_codes_moved() -> None:
    search = with_evidence(0.4, 0.12, -0.12, 0.05)
    search.tell(search.ask(), np.array([0.0, -1.0, 5.0, 5.0]))
    assert search.best.tolist() == [1, 0, 0, 0]
    # t e / 2, less 1 %: with t = 3 for the first code, and t = 1 for the others.
    ideal = 0.99 * np.array([0.6, 0.06, -0.06, 0.025])
    assert search._ideal == pytest.approx(ideal)
    assert search.gaps == pytest.approx(1 - 2 * np.abs(ideal - search.best))


def test_costs_are_in_units_of_the_price() -> None:
    up, down = np.array([0.5, 3.0]), np.array([3.5, 1.0])
    search = Coevolution(np.zeros(2, np.int8), -8, 7, up, down, 4, 2, np.random.default_rng(0))
    assert np.array(search._costs()) == pytest.approx(np.stack([up, down]))
    assert search.gaps.tolist() == [0.5, 1.0]


def test_the_largest_gap_counts_as_a_twentieth_of_the_mean_price_at_least() -> None:
    up, down = np.full(4, 0.08), np.full(4, 3.92)  # a price of 2
    search = Coevolution(np.zeros(4, np.int8), -8, 7, up, down, 4000, 4, np.random.default_rng(0))
    turn(search, lambda codes: 0.0)
    share = (np.array(search.ask()) == 1).mean()
    assert share == pytest.approx(0.2119, abs=0.015)  # z > 0.08 / 0.1


def test_an_accepted_move_shifts_the_ideal_code_at_most_to_a_tie() -> None:
    search = pair_of(np.ones(40), np.ones(40))
    better, worse = search.ask()
    search.tell([better, worse], np.array([1.0, 2.0]))
    search.tell(search.ask(), np.array([0.0, -1.0, 5.0, 5.0]))
    assert (search.best.tolist(), search.best_fitness) == (better.tolist(), -1.0)
    # Where a code moved to 1, the ideal code is 1.5, less 1 %: a gap of 1 + 2 (1 - 1.485).
    assert search.gaps[better != 0] == pytest.approx(0.03, abs=1e-5)
    assert search.gaps[better == 0] == pytest.approx(1.0)


def test_a_longer_step_shifts_the_ideal_code_further() -> None:
    shifted = []
    for chosen in (1, 3):
        search = pair_of(np.full(40, 1.0), np.full(40, 1.0))
        better, worse = search.ask()
        search.tell([better, worse], np.array([1.0, 2.0]))
        scores = np.array([0.0, 5.0, 5.0, 5.0])
        scores[chosen] = -1.0
        search.tell(search.ask(), scores)
        shifted.append(search._ideal[better == 1])
    assert (shifted[0] <= shifted[1]).all()


def test_a_rejected_line_search_keeps_only_evidence_against_moves() -> None:
    search = pair_of(np.full(40, 0.25), np.full(40, 1.75))  # ideal codes of 3/8, g = 1/4
    worse, better = search.ask()
    search.tell([worse, better], np.array([2.0, 1.0]))  # evidence of -1/2 and 1/2
    search.tell(search.ask(), np.array([0.0, 5.0, 5.0, 5.0]))
    assert not search.best.any()
    # The ideal codes shift by g e / 2 = -1/16 towards the code.
    assert search.gaps[worse == 1] == pytest.approx(0.375)
    assert search.gaps[worse == 0] == pytest.approx(0.25)


def test_evidence_against_a_move_does_not_turn_into_evidence_for_the_other() -> None:
    search = pair_of(np.full(8, 0.9), np.full(8, 1.1))  # ideal codes of 1/20, g = 9/10
    for _ in range(10):
        worse, better = search.ask()
        search.tell([worse, better], np.array([codes.sum() for codes in (worse, better)]))
        search.tell(search.ask(), np.array([0.0, 5.0, 5.0, 5.0]))
    assert search.gaps.max() == pytest.approx(1.0)
    assert (search._ideal >= 0).all()


def test_costs_are_at_least_zero_even_for_a_move_that_improves() -> None:
    search = search_of(np.array([-1.0, 0.0]), 2)
    assert search.gaps.tolist() == [0.0, 0.0]
    assert search._costs()[1].tolist() == [2.0, 2.0]


def test_codes_without_any_cost_may_move() -> None:
    search = pair_of(np.zeros(30), np.zeros(30))
    assert (search.gaps >= 0).all()
    assert np.array(search.ask()).any()


def test_a_group_of_ties_moves_half_of_its_codes_up_and_none_down() -> None:
    search = search_of(np.zeros(400), 400, population=2)  # up costs 0, and down 2
    turn(search, lambda codes: 0.0)
    first, second = search.ask()
    assert (first >= 0).all()
    assert (first + second == 1).all()


@pytest.mark.parametrize("population", [2, 3, 8])
def test_the_population_is_the_number_of_drawn_candidates(population: int) -> None:
    search = search_of(np.full(5, 0.5), 5, population=population)
    turn(search, lambda codes: 0.0)
    assert len(search.ask()) == population


def test_codes_with_equal_gaps_take_turns() -> None:
    search, moved = search_of(np.full(30, 0.1), 3), set[int]()
    turn(search, lambda codes: 0.0)
    for _ in range(6):
        moved.update(np.nonzero(np.array(search.ask()))[1].tolist())
    assert len(moved) > 6


def test_the_size_of_the_group_changes_by_its_factors_within_its_limits() -> None:
    sizes = []
    for size, codes, better in ((50, 200, 3), (50, 200, 1), (50, 200, 0), (9, 200, 0), (5, 5, 0)):
        search = search_of(np.full(codes, 0.5), size)
        turn(search, lambda codes: 0.0)
        turn(search, lambda codes: 0.0)
        search._evidence[:] = 1.0  # so that every step moves
        scores = np.array([0.0, 5.0, 5.0, 5.0])
        scores[better] -= 6.0
        search.tell(search.ask(), scores)
        sizes.append(search._size)
    assert sizes == [76, 50, 41, 8, 5]


def test_recombination_weights_are_those_of_hansen() -> None:
    # log(2.5) - log(1) = 0.9163 and log(2.5) - log(2) = 0.2231, over their sum, less 1 / 4.
    assert recombination_weights(4) == pytest.approx([0.5542, -0.0542, -0.25, -0.25], abs=1e-4)


def test_equal_fitness_shares_the_weights_of_its_ranks_and_nan_is_last() -> None:
    weights = np.array([0.7, 0.3, -0.4, -0.6])
    shared = shared_weights(np.array([5.0, 1.0, 5.0, np.nan]), weights)
    assert shared == pytest.approx([-0.05, 0.7, -0.05, -0.6])


@pytest.mark.parametrize("count", [2, 3, 16, 33])
def test_the_weights_of_ranks_fall_and_sum_to_zero(count: int) -> None:
    weights = recombination_weights(count)
    assert weights.sum() == pytest.approx(0, abs=1e-12)
    assert (np.diff(weights) <= 1e-12).all()


def test_without_differences_there_is_no_evidence() -> None:
    assert shared_weights(np.ones(8), recombination_weights(8)) == pytest.approx(
        np.zeros(8), abs=1e-12
    )
