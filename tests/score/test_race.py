"""Giving up early: what is kept is exact, and nothing that is surely good is given up."""

from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.score import Race, find_metric
from onnx_evoq.score.race import rungs


class Losses:
    """Stands for an evaluator: a candidate is the loss of each sample."""

    def __init__(self, counts: list[int], metric: str = "mse") -> None:
        self.counts = counts
        self.metric = find_metric(metric)
        self.scored = 0

    def per_sample(self, values: NDArray[np.float32], first: int, end: int) -> NDArray[np.float64]:
        ends = [0, *accumulate(self.counts)]
        self.scored += ends[end] - ends[first]
        return values[ends[first] : ends[end]].astype(np.float64)


def race(evaluator: Losses, keep: int = 1, doubt: float = 2.0) -> Race:
    return Race(evaluator, keep, doubt)  # type: ignore[arg-type]


def fitness(contest: Race, candidate: NDArray[np.float32]) -> float:
    """Of a generation of one."""
    return float(contest.fitness([candidate])[0])


def losses(mean: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(mean, 1, 512).astype(np.float32)


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        ([512], [1]),
        ([32, 96, 384], [1, 2, 3]),
        ([16] * 64, [2, 8, 32, 64]),
        ([64, 64, 64], [1, 2, 3]),
        ([10], [1]),
        ([1] * 40, [32, 40]),
    ],
)
def test_rungs_end_at_32_128_and_512_samples(counts: list[int], ends: list[int]) -> None:
    assert rungs(counts) == ends


def test_the_fitness_of_what_is_kept_is_exact() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator)
    assert fitness(contest, losses(1.0)) == pytest.approx(losses(1.0).mean())
    better = losses(1.0) - 0.1
    assert fitness(contest, better) == pytest.approx(better.mean())


def test_what_is_much_worse_is_given_up_on_the_first_rung() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    assert fitness(contest, losses(1.0) + 0.5) == np.inf
    assert evaluator.scored == 32


def test_pairs_tell_small_differences_that_samples_alone_would_hide() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    noise = 0.01 * losses(0.0, seed=1)
    assert fitness(contest, losses(1.0) + np.float32(0.02) + noise) == np.inf
    assert evaluator.scored == 32  # the deviation of the samples is 1, that of the pairs 0.01


def test_without_doubt_all_is_scored() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator, doubt=np.inf)
    fitness(contest, losses(1.0))
    assert fitness(contest, losses(9.0)) == pytest.approx(losses(9.0).mean())


def test_a_candidate_must_be_worse_than_the_last_that_is_kept() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator, keep=2)
    fitness(contest, losses(1.0))  # counts twice
    fitness(contest, losses(1.0) - 1)
    assert fitness(contest, losses(1.0) - np.float32(0.5)) < np.inf  # second best
    assert fitness(contest, losses(1.0) - np.float32(0.25)) == np.inf  # third


def test_nearly_all_that_full_scoring_keeps_are_kept() -> None:
    rng = np.random.default_rng(0)
    start = losses(1.0)
    contest = race(Losses([32, 96, 384]))
    fitness(contest, start)
    better = missed = 0
    for _ in range(1000):
        shift = rng.normal(0, 0.02)
        candidate = (start + rng.normal(shift, 0.3, 512)).astype(np.float32)
        fresh = race(Losses([32, 96, 384]))
        fitness(fresh, start)
        if candidate.mean() < start.mean():
            better += 1
            missed += fitness(fresh, candidate) == np.inf
    assert better > 300
    assert missed / better < 0.05


def test_what_was_seen_is_not_scored_again() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    assert fitness(contest, losses(1.0)) == pytest.approx(losses(1.0).mean())
    assert evaluator.scored == 0


def test_higher_is_better_turns_the_race_round() -> None:
    evaluator = Losses([32, 96, 384], "cosine")
    contest = race(evaluator)
    assert fitness(contest, losses(1.0)) == pytest.approx(-losses(1.0).mean())
    assert fitness(contest, losses(1.0) - 1) == np.inf
    assert fitness(contest, losses(1.0) + 1) < np.inf


def test_a_loss_that_is_no_number_is_hopeless() -> None:
    contest = race(Losses([32, 96, 384]))
    fitness(contest, losses(1.0))
    assert fitness(contest, np.full(512, np.nan, np.float32)) == np.inf


def test_a_start_that_is_no_number_gives_way() -> None:
    contest = race(Losses([32, 96, 384]))
    assert fitness(contest, np.full(512, np.nan, np.float32)) == np.inf
    assert fitness(contest, losses(1.0)) < np.inf


def test_members_of_a_generation_do_not_depend_on_each_other() -> None:
    generation = [losses(1.0) - np.float32(shift) for shift in (0.3, 0.1, 0.2)]
    orders = ([0, 1, 2], [1, 2, 0])
    found = []
    for order in orders:
        contest = race(Losses([32, 96, 384]))
        fitness(contest, losses(1.0))
        values = contest.fitness([generation[place] for place in order])
        found.append(dict(zip(order, values.tolist(), strict=True)))
    assert found[0] == found[1]
    assert np.isfinite(list(found[0].values())).all()


def test_when_it_is_stopped_the_rest_is_given_up_unseen() -> None:
    evaluator = Losses([32, 96, 384])
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    looks = iter([False, True, True])
    generation = [losses(1.0) - np.float32(shift) for shift in (0.1, 0.2, 0.3)]
    values = contest.fitness(generation, stop=lambda: next(looks))
    assert np.isfinite(values).tolist() == [True, False, False]
    assert evaluator.scored == 512
