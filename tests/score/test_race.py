"""A race: the best fitness is exact, others are forecast, and hardly any good candidate is lost."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.metrics import find_metric
from onnx_evoq.score import DOUBT, Race
from onnx_evoq.score.racing import forecast

COUNTS = [32, 32, 64, 128, 256]


class Losses:
    """A stand-in of an evaluator: the values of the weight "w" are the losses of the samples."""

    def __init__(self, counts: Sequence[int] = COUNTS, metric: str = "mse") -> None:
        self.counts = list(counts)
        self.metric = find_metric(metric)
        self.scored = 0

    def losses(
        self,
        candidates: Sequence[NDArray[np.float32]],
        values_of: Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]],
        first: int,
        end: int,
        stop: Callable[[], bool],
    ) -> list[NDArray[np.float64] | None]:
        ends = [0, *accumulate(self.counts)]
        found: list[NDArray[np.float64] | None] = []
        for candidate in candidates:
            if stop():
                found.append(None)
                continue
            self.scored += ends[end] - ends[first]
            found.append(values_of(candidate)["w"][ends[first] : ends[end]].astype(np.float64))
        return found


def race(evaluator: Losses, keep: int = 1, doubt: float = 2.0) -> Race:
    return Race(evaluator, keep, lambda codes: {"w": codes}, doubt)  # type: ignore[arg-type]


def fitness(contest: Race, candidate: NDArray[np.float32]) -> float:
    """The fitness of a generation of one candidate."""
    return float(contest.fitness([candidate])[0])


def losses(mean: float, seed: int = 0, deviation: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(mean, deviation, 512).astype(np.float32)


def waves(mean: float, deviation: float) -> NDArray[np.float32]:
    """512 losses that alternate between two values."""
    signs = np.where(np.arange(512) % 2, -1.0, 1.0)
    return (mean + deviation * signs).astype(np.float32)


def samples_until_decided(
    candidate: NDArray[np.float32], *earlier: NDArray[np.float32], keep: int = 1
) -> tuple[float, int]:
    """The fitness of a candidate after others, and on how many samples it was scored."""
    evaluator = Losses()
    contest = race(evaluator, keep)
    for each in earlier:
        fitness(contest, each)
    evaluator.scored = 0
    return fitness(contest, candidate), evaluator.scored


def test_a_candidate_is_given_up_beyond_its_doubt() -> None:
    # After 32 of 512 samples, the error is sqrt(32 / 31) * sqrt(15 / 16 / 32) = 0.1739.
    start = waves(0, 0)
    assert samples_until_decided(waves(0.36, 1), start) == (np.inf, 32)
    assert samples_until_decided(waves(0.34, 1), start)[1] > 32


@pytest.mark.parametrize(("mean", "given_up"), [(0.13, True), (0.11, False)])
def test_by_default_the_doubt_is_seven_tenths_of_an_error(mean: float, given_up: bool) -> None:
    evaluator = Losses()
    contest = Race(evaluator, 1, lambda codes: {"w": codes})  # type: ignore[arg-type]
    fitness(contest, waves(0, 0))
    evaluator.scored = 0
    fitness(contest, waves(mean, 1))
    assert (evaluator.scored == 32) is given_up


def test_the_start_counts_as_a_whole_population() -> None:
    assert samples_until_decided(waves(0.5, 0.1), waves(0, 0), keep=3) == (np.inf, 32)


def test_after_a_stop_only_one_candidate_is_scored_on_all_samples() -> None:
    evaluator = Losses()
    contest = race(evaluator, keep=4)
    fitness(contest, waves(0, 0))
    evaluator.scored = 0
    deceiving, good = waves(-0.5, 1.5), waves(-0.3, 1.5)
    deceiving[32:] = 5
    looks = iter([False, False])  # time for the first 32 samples
    values = contest.fitness([good, deceiving], stop=lambda: next(looks, True))
    assert values == pytest.approx([np.inf, deceiving.mean()])
    assert evaluator.scored == 32 + 512


def test_a_candidate_is_settled_within_a_share_of_the_distance_to_the_best() -> None:
    # Its own forecast is t, and the best is 0.7 below: the error must be 0.21 at most.
    earlier = waves(0, 0), waves(-1, 0)
    value, scored = samples_until_decided(waves(-0.3, 1.2), *earlier, keep=2)
    assert (value, scored) == (pytest.approx(-0.3, abs=1e-6), 32)
    assert samples_until_decided(waves(-0.3, 1.22), *earlier, keep=2)[1] == 64


def test_after_a_quarter_of_the_samples_a_candidate_is_settled_by_the_sign() -> None:
    value, scored = samples_until_decided(waves(-0.3, 9), waves(0, 0), waves(-1, 0), keep=2)
    assert (value, scored) == (pytest.approx(-0.3, abs=1e-6), 128)


@pytest.mark.parametrize(("differing", "scored"), [(7, 64), (8, 32)])
def test_a_candidate_must_differ_on_eight_samples_to_be_decided(
    differing: int, scored: int
) -> None:
    worse = np.zeros(512, np.float32)
    worse[:differing] = worse[32 : 32 + differing] = 1
    assert samples_until_decided(worse, waves(0, 0)) == (np.inf, scored)


def test_the_relatives_are_the_latest_32_candidates() -> None:
    contest = race(Losses(), keep=1, doubt=np.inf)
    for seed in range(40):
        fitness(contest, losses(1.0, seed))
    assert len(contest._relatives) == 32
    assert contest._relatives[0] == pytest.approx(losses(1.0, 39))
    assert contest._relatives[-1] == pytest.approx(losses(1.0, 8))


def test_a_forecast_is_that_of_the_closest_relative() -> None:
    far, near = np.array([9.0, 0, 9, 0]), np.array([1.0, 2, 4, 5])
    found = forecast(np.array([2.0, 4.0]), np.array([far, near]))
    # l - r is 1 and 2: mean 1.5, deviation sqrt(1/2); half of the samples are left
    assert found.mean == pytest.approx(3 + 1.5)
    assert found.error == pytest.approx(np.sqrt(0.5) / np.sqrt(2) * np.sqrt(0.5))
    assert found.differing == 2


def test_with_all_samples_a_forecast_is_exact() -> None:
    found = forecast(np.array([2.0, 4.0, 9.0]), np.array([[1.0, 1.0, 1.0]]))
    assert (found.mean, found.error) == (5.0, 0.0)


def test_the_fitness_of_the_best_is_exact() -> None:
    contest = race(Losses())
    assert fitness(contest, losses(1.0)) == pytest.approx(losses(1.0).mean())
    better = losses(1.0) - 0.1 + 0.3 * losses(0.0, seed=1)
    assert fitness(contest, better) == pytest.approx(better.mean())


def test_a_much_worse_candidate_is_given_up_after_32_samples() -> None:
    evaluator = Losses()
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    assert fitness(contest, losses(1.0) + 0.5 + 0.1 * losses(0.0, seed=1)) == np.inf
    assert evaluator.scored == 32


def test_a_relative_shows_small_differences_that_the_deviation_of_samples_would_hide() -> None:
    evaluator = Losses()
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    noise = 0.01 * losses(0.0, seed=1)
    assert fitness(contest, losses(1.0) + np.float32(0.02) + noise) == np.inf
    assert evaluator.scored == 32  # the deviation of the samples is 1, that of the pairs 0.01


def test_a_candidate_that_surely_stays_is_settled_early_unless_it_is_the_best() -> None:
    evaluator = Losses()
    contest = race(evaluator, keep=4)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    noise = [0.01 * losses(0.0, seed=seed) for seed in (1, 2, 3)]
    best, second, third = (
        losses(1.0) - np.float32(shift) + each
        for shift, each in zip((0.9, 0.5, 0.4), noise, strict=True)
    )
    found = contest.fitness([second, best, third])
    assert found[1] == pytest.approx(best.mean(), abs=1e-6)
    assert found[[0, 2]] == pytest.approx([second.mean(), third.mean()], abs=0.01)
    assert evaluator.scored == 512 + 32 + 32


def test_a_candidate_that_differs_on_few_samples_is_not_settled() -> None:
    evaluator = Losses(metric="agreement")
    contest = race(evaluator, keep=2)
    start = (losses(0.0) > 0).astype(np.float32)
    fitness(contest, start)
    other = start.copy()
    other[300:] = 0  # no difference among the first 256
    assert fitness(contest, other) == pytest.approx(-other.mean())


def test_a_candidate_that_differs_on_few_samples_is_not_given_up() -> None:
    contest = race(Losses(metric="agreement"))
    start = (losses(0.0) > 0).astype(np.float32)
    worse, better = start.copy(), start.copy()
    start[400:], worse[300:], better[400:] = 0.5, 0, 1
    assert fitness(contest, worse) == pytest.approx(-worse.mean())
    assert fitness(contest, start) == pytest.approx(-start.mean())
    assert fitness(contest, better) == pytest.approx(-better.mean())


def test_a_quarter_of_the_samples_decides_by_the_sign() -> None:
    evaluator = Losses()
    contest = race(evaluator, doubt=100.0)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    assert fitness(contest, losses(1.0) + np.float32(0.1) + losses(0.0, seed=1)) == np.inf
    assert evaluator.scored == 128


def test_with_infinite_doubt_all_samples_are_scored() -> None:
    evaluator = Losses()
    contest = race(evaluator, keep=4, doubt=np.inf)
    fitness(contest, losses(1.0))
    generation = [losses(9.0), losses(1.0) - 0.5, losses(1.0) - 0.4]
    exact = [candidate.mean() for candidate in generation]
    assert contest.fitness(generation) == pytest.approx(exact)
    assert evaluator.scored == 4 * 512


def test_a_candidate_is_given_up_only_if_it_is_worse_than_the_kth_best() -> None:
    contest = race(Losses(), keep=2)
    fitness(contest, losses(1.0))  # counts twice
    fitness(contest, losses(1.0) - 1)
    assert fitness(contest, losses(1.0) - np.float32(0.5)) < np.inf  # second best
    assert fitness(contest, losses(1.0) - np.float32(0.25)) == np.inf  # third


def test_a_generation_competes_with_itself() -> None:
    evaluator = Losses()
    contest = race(evaluator, keep=2)
    fitness(contest, losses(1.0))
    shifts = np.linspace(0.1, 0.8, 8, dtype=np.float32)
    generation = [
        losses(1.0) - shift + 0.01 * losses(0.0, seed=seed) for seed, shift in enumerate(shifts, 1)
    ]
    found = contest.fitness(generation)
    assert np.isfinite(found).tolist() == [False] * 6 + [True] * 2  # all beat the start


def test_few_candidates_are_lost_that_are_better_by_two_errors() -> None:
    rng = np.random.default_rng(0)
    start = losses(1.0)
    better = missed = 0
    for _ in range(250):
        shift = rng.normal(0, 0.04)
        candidate = (start + rng.normal(shift, 0.3, 512)).astype(np.float32)
        fresh = race(Losses())
        fitness(fresh, start)
        if candidate.mean() < start.mean() - 2 * 0.3 / np.sqrt(512):
            better += 1
            missed += fitness(fresh, candidate) == np.inf
    assert better > 50
    assert missed / better < 0.05


def test_a_candidate_that_was_seen_is_not_scored_again() -> None:
    evaluator = Losses()
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    evaluator.scored = 0
    assert fitness(contest, losses(1.0)) == pytest.approx(losses(1.0).mean())
    assert evaluator.scored == 0
    better = losses(1.0) - 0.1
    contest.fitness([better, better])
    assert evaluator.scored == 512


def test_a_race_maximises_a_metric_of_which_more_is_better() -> None:
    contest = race(Losses(metric="cosine"))
    assert fitness(contest, losses(1.0)) == pytest.approx(-losses(1.0).mean())
    assert fitness(contest, losses(1.0) - 1) == np.inf
    assert fitness(contest, losses(1.0) + 1) == pytest.approx(-losses(2.0).mean(), abs=1e-6)


def test_a_candidate_with_a_loss_of_nan_is_given_up() -> None:
    contest = race(Losses())
    fitness(contest, losses(1.0))
    assert fitness(contest, np.full(512, np.nan, np.float32)) == np.inf
    late = losses(1.0) - 1
    late[-1] = np.nan
    assert fitness(contest, late) == np.inf


def test_a_start_with_a_loss_of_nan_is_replaced() -> None:
    contest = race(Losses())
    assert fitness(contest, np.full(512, np.nan, np.float32)) == np.inf
    assert fitness(contest, losses(1.0)) == pytest.approx(losses(1.0).mean())


def test_the_order_of_a_generation_does_not_matter() -> None:
    generation = [losses(1.0) - np.float32(shift) for shift in (0.3, 0.1, 0.2)]
    orders = ([0, 1, 2], [1, 2, 0])
    found = []
    for order in orders:
        contest = race(Losses(), keep=3)
        fitness(contest, losses(1.0))
        values = contest.fitness([generation[index] for index in order])
        found.append(dict(zip(order, values.tolist(), strict=True)))
    assert found[0] == found[1]
    assert np.isfinite(list(found[0].values())).all()


def test_after_a_stop_all_others_are_given_up() -> None:
    evaluator = Losses([512])
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    looks = iter([False, True, True])
    generation = [losses(1.0) - np.float32(shift) for shift in (0.1, 0.2, 0.3)]
    values = contest.fitness(generation, stop=lambda: next(looks))
    assert np.isfinite(values).tolist() == [True, False, False]
    assert evaluator.scored == 2 * 512


def test_after_a_stop_the_most_promising_candidate_is_scored_on_all_samples() -> None:
    evaluator = Losses()
    contest = race(evaluator, keep=4)
    fitness(contest, losses(1.0))
    promising = losses(1.0) - 0.3 + losses(0.0, seed=1)
    doubtful = losses(1.0) - 0.1 + losses(0.0, seed=2)
    looks = iter([False, False])  # time for the first 32 samples
    values = contest.fitness([doubtful, promising], stop=lambda: next(looks, True))
    assert values == pytest.approx([np.inf, promising.mean()])
    assert evaluator.scored == 2 * 512 + 32


def test_after_a_stop_the_most_promising_is_given_up_if_it_is_not_the_best() -> None:
    evaluator = Losses()
    contest = race(evaluator, keep=4)
    fitness(contest, losses(1.0))
    assert fitness(contest, losses(1.0) - 0.9) < 0.2
    evaluator.scored = 0
    looks = iter([False])  # time for the first 32 samples
    doubtful = losses(1.0) - 0.2 + 3 * losses(0.0, seed=1)
    assert contest.fitness([doubtful], stop=lambda: next(looks, True))[0] == np.inf
    assert evaluator.scored == 32


def test_without_any_time_all_candidates_are_given_up_unscored() -> None:
    evaluator = Losses()
    contest = race(evaluator)
    fitness(contest, losses(1.0))
    assert fitness_in_no_time(contest, losses(1.0) - 1) == np.inf
    assert evaluator.scored == 512


class UserMetric:
    """A stand-in of an evaluator with a user's metric: the sum of the codes."""

    counts = (32, 32)

    def __init__(self) -> None:
        def total(outputs: object, labels: object) -> float:
            return 0.0

        total.higher_is_better = True  # type: ignore[attr-defined]
        self.metric = find_metric(total)
        self.scored: list[float] = []

    def value(self, values: Mapping[str, NDArray[np.float32]]) -> float:
        self.scored.append(float(values["w"].sum()))
        return self.scored[-1]


def test_a_user_metric_scores_each_candidate_completely_until_the_stop() -> None:
    evaluator = UserMetric()
    contest = race(evaluator, keep=2)  # type: ignore[arg-type]
    candidates = [np.float32([value]) for value in (3, 1, 3, 5)]
    looks = iter([False, False])
    found = contest.fitness(candidates, stop=lambda: next(looks, True))
    assert found.tolist() == [-3.0, -1.0, -3.0, np.inf]
    assert evaluator.scored == [3.0, 1.0]
    assert contest.fitness(candidates).tolist() == [-3.0, -1.0, -3.0, -5.0]
    assert evaluator.scored == [3.0, 1.0, 5.0]


def fitness_in_no_time(contest: Race, candidate: NDArray[np.float32]) -> float:
    return float(contest.fitness([candidate], stop=lambda: True)[0])


def search_twice(
    metric: str, children: Callable[[int], NDArray[np.float32]]
) -> tuple[float, float]:
    """Ten generations in a race and with full scoring: the shares of good candidates found, and
    of samples used.
    """
    keep = 16
    evaluator, other = Losses(MANY_COUNTS, metric), Losses(MANY_COUNTS, metric)
    raced, exact = race(evaluator, keep, DOUBT), race(other, keep, np.inf)
    start = children(0)
    population = [fitness(exact, start)] * keep
    fitness(raced, start)
    kept = stay = 0
    for generation in range(1, 11):
        candidates = [children(keep * generation + index) for index in range(keep)]
        full, found = exact.fitness(candidates), raced.fitness(candidates)
        last = np.sort([*population, *full])[keep - 1]
        stay += int((full <= last).sum())
        kept += int(np.isfinite(found[full <= last]).sum())
        population = np.sort([*population, *full])[:keep].tolist()
    return kept / stay, evaluator.scored / other.scored


MANY_COUNTS = [32, 32, 64, 128, 256, 512]


def test_with_smooth_losses_few_samples_find_the_candidates_of_full_scoring() -> None:
    sample = np.random.default_rng(0).gamma(0.5, 2.0, 1024)

    def children(seed: int) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        return (sample * (1 + rng.normal(0.0, 0.1)) * rng.gamma(50, 0.02, 1024)).astype(np.float32)

    kept, used = search_twice("mse", children)
    assert kept > 0.8
    assert used < 0.4


def test_with_right_and_wrong_answers_nearly_all_good_candidates_are_found() -> None:
    sample = np.random.default_rng(0).random(1024) < 0.85

    def children(seed: int) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        change = rng.random(1024) < 0.02 * (seed > 0)
        return np.where(change, rng.random(1024) < 0.85, sample).astype(np.float32)

    kept, _ = search_twice("agreement", children)
    assert kept > 0.85
