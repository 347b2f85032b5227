"""Tests that all strategies pass. Add a new strategy to the list `STRATEGIES`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from onnx_evoq.search import NSGA2, Coevolution, Neuroevolution, mutate
from onnx_evoq.search.ask_tell import AskTell, check_tell

TARGET = np.array([3, 1, 4, 1, 5])


def neuroevolution(rng: np.random.Generator) -> AskTell[Any]:
    return Neuroevolution(np.zeros(5, np.int8), 8, lambda codes: mutate(codes, 0.3, -8, 7, rng))


def coevolution(rng: np.random.Generator) -> AskTell[Any]:
    return Coevolution(np.zeros(5, np.int8), -8, 7, np.ones(5), np.ones(5), 16, 5, rng)


def nsga2(rng: np.random.Generator) -> AskTell[Any]:
    return NSGA2([[0] * 5], [8] * 5, 12, rng)


# A function that makes each strategy, and its number of objectives.
STRATEGIES: dict[str, tuple[Callable[[np.random.Generator], AskTell[Any]], int]] = {
    "neuroevolution": (neuroevolution, 1),
    "coevolution": (coevolution, 1),
    "NSGA-II": (nsga2, 2),
}
every = pytest.mark.parametrize(("make", "objectives"), STRATEGIES.values(), ids=STRATEGIES)


def scored(candidates: Sequence[Any], objectives: int) -> Any:
    """The distance to a target; as a second objective, the size."""
    rows = np.array(candidates, np.float64)
    distance = np.abs(rows - TARGET).sum(axis=1)
    return distance if objectives == 1 else np.stack([distance, rows.sum(axis=1)], axis=1)


def searched(
    make: Callable[[np.random.Generator], AskTell[Any]], objectives: int, seed: int, rounds: int
) -> list[list[Any]]:
    """All candidates, round by round."""
    strategy, history = make(np.random.default_rng(seed)), []
    for _ in range(rounds):
        candidates = strategy.ask()
        history.append([np.asarray(each).tolist() for each in candidates])
        strategy.tell(candidates, scored(candidates, objectives))
    return history


@every
def test_it_comes_nearer_to_the_target(make: Any, objectives: int) -> None:
    history = searched(make, objectives, 0, 40)
    first, last = (
        min(np.abs(np.array(each) - TARGET).sum() for each in part)
        for part in (history[0], history[-1])
    )
    assert last <= 2 < first


@every
def test_the_same_seed_asks_for_the_same_candidates(make: Any, objectives: int) -> None:
    one, two, other = (searched(make, objectives, seed, 8) for seed in (4, 4, 5))
    assert one == two
    assert one != other


@every
def test_scores_of_nan_break_nothing(make: Any, objectives: int) -> None:
    strategy = make(np.random.default_rng(0))
    for _ in range(6):
        candidates = strategy.ask()
        strategy.tell(candidates, np.full_like(scored(candidates, objectives), np.nan))
    assert len(strategy.ask())


@every
def test_there_is_a_score_for_each_candidate(make: Any, objectives: int) -> None:
    strategy = make(np.random.default_rng(0))
    candidates = strategy.ask()
    with pytest.raises(ValueError, match="of shape"):
        strategy.tell(candidates, np.zeros((len(candidates) + 1, objectives)))


@every
def test_candidates_are_not_changed_later(make: Any, objectives: int) -> None:
    strategy = make(np.random.default_rng(0))
    candidates = strategy.ask()
    before = [np.array(each) for each in candidates]
    strategy.tell(candidates, scored(candidates, objectives))
    strategy.ask()
    for each, old in zip(candidates, before, strict=True):
        assert np.array_equal(each, old)


def test_tell_takes_all_candidates_of_ask_in_their_order() -> None:
    one, other = np.zeros(3, np.int8), np.zeros(3, np.int8)
    check_tell([one, other], [one, other], np.zeros(2))
    for candidates in ([one], [other, one], [one, other, one], [one, one.copy()]):
        with pytest.raises(ValueError, match=r"the candidates that ask\(\) gave, all of them"):
            check_tell([one, other], candidates, np.zeros(2))
    with pytest.raises(ValueError, match=r"2 candidates but fitness of shape \(2, 1\)"):
        check_tell([one, other], [one, other], np.zeros((2, 1)))


@pytest.mark.parametrize("make", [neuroevolution, coevolution])
def test_tell_goes_with_ask(make: Any) -> None:
    strategy = make(np.random.default_rng(0))
    with pytest.raises(RuntimeError, match=r"call ask\(\) first"):
        strategy.tell([np.zeros(5, np.int8)], np.array([1.0]))
    candidates = strategy.ask()
    strategy.tell(candidates, np.zeros(len(candidates)))
    with pytest.raises(RuntimeError, match=r"call ask\(\) first"):
        strategy.tell(candidates, np.zeros(len(candidates)))


@pytest.mark.parametrize("make", [neuroevolution, coevolution])
def test_other_candidates_than_those_asked_for_are_refused(make: Any) -> None:
    strategy = make(np.random.default_rng(0))
    strategy.ask()
    with pytest.raises(ValueError, match="takes the candidates that ask"):
        strategy.tell([np.zeros(5, np.int8)], np.array([1.0]))
