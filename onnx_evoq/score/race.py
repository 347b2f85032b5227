"""Score generations of candidates by racing: bad candidates are given up after few samples.

This is successive halving with a statistical test instead of a fixed share: all candidates are
scored on 32 samples, those still in the race on 64, then 128 and so on up to all N samples. After
each stage they are compared. A search that keeps the best K candidates needs no loss of the others,
and only an approximate loss of most of the K.

After n samples with losses l, the mean loss over all N samples is forecast with a control variate:
a relative, which is an earlier candidate whose losses r on all samples are known.

    forecast = mean_N(r) + mean_n(l - r),    error = std_n(l - r) / sqrt(n) * sqrt(1 - n / N)

The relative is the one with the smallest std_n(l - r), among the last RELATIVES candidates that
were scored on all samples. Samples that are hard for both cancel, and with all samples the error is
zero. Let t be the K-th best forecast so far, including this generation. Then a candidate is

1. given up, if forecast - t > doubt * error;
2. settled, if forecast <= t and error <= SETTLED * (t - best forecast): its fitness is the
   forecast;
3. given up or settled by the sign of forecast - t, after a quarter of the samples. The error is
   then sqrt(3) times the error of the mean over all N samples as an estimate for unseen samples, so
   that more samples would tell the search little;
4. else scored on more samples. So is a candidate whose loss differs from the relative's on fewer
   than DIFFERING samples, as happens where answers are right or wrong: a deviation of so few
   differences is unreliable.

The best candidate so far is always scored on all samples.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Arrays, Float64Array
from onnx_evoq.metrics import PerSample
from onnx_evoq.score.evaluator import Evaluator, never
from onnx_evoq.score.model_part import Values
from onnx_evoq.score.racing import comparison_batches, forecast

Candidate = NDArray[Any]


# Chosen on searches from 4 bits in a ResNet-20, mse, 1,024 samples: without rule 3, 92 and
# 96 % of the 32 best of each of 40 generations were found with a tenth of the samples. Stricter
# values found more and took longer; searches ended at the same error as with full scoring.
DOUBT = 0.7  # errors by which a candidate must be worse than t to be given up
SETTLED = 0.3  # error of a settled candidate, as a share of the distance from the best to t
RELATIVES = 32
DIFFERING = 8  # samples
_KEY_BYTES = 16  # of the hash of a candidate


@dataclass(eq=False)
class _Entrant:
    """A candidate in a race, with its losses on the first samples and the fitness they forecast."""

    codes: Candidate
    losses: PerSample = field(default_factory=lambda: np.empty(0))
    fitness: float = np.inf  # before any loss is known


class Race:
    """Computes the fitness of candidates: exact for the best, forecast for the rest of the best K.

    A candidate that was seen before is not scored again. A candidate is an array of integers of any
    shape that stands for values of weights, for example the codes of one weight, or the codes of
    all weights one after the other.

    Args:
        evaluator: scores candidates.
        keep: K, the population of the search.
        values_of: computes the values of the weights from a candidate.
        doubt: the number of errors by which a candidate must be worse than the K-th best to be
            given up; infinity to score every candidate on all samples.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        keep: int,
        values_of: Callable[[Candidate], Values],
        doubt: float = DOUBT,
    ) -> None:
        self._evaluator = evaluator
        self._values_of = values_of
        self._doubt = doubt
        self._known: dict[bytes, float] = {}  # fitness by the hash of a candidate
        self._best = np.full(keep, np.inf)  # fitness of the best K so far, ascending
        self._relatives: deque[PerSample] = deque(maxlen=RELATIVES)  # (samples,) each, latest first
        self._comparisons = comparison_batches(evaluator.counts)
        self._samples = sum(evaluator.counts)

    @property
    def evaluations(self) -> int:
        """How many candidates the evaluator has scored."""
        return self._evaluator.evaluations

    @evaluations.setter
    def evaluations(self, count: int) -> None:
        self._evaluator.evaluations = count

    @property
    def state(self) -> dict[str, Array]:
        """All that later generations depend on, as arrays by name."""
        relatives = np.array(self._relatives).reshape(len(self._relatives), self._samples)
        return {
            "known": np.frombuffer(b"".join(self._known), np.uint8),  # 16 bytes for each
            "known fitness": np.array(list(self._known.values())),
            "best fitness": self._best,
            "relatives": relatives,  # (relatives, samples)
        }

    def set_state(self, state: Arrays) -> None:
        """Go on from a state of a race between candidates on the same samples."""
        keys, fitness = state["known"].reshape(-1, _KEY_BYTES), state["known fitness"].tolist()
        self._known = dict(zip((key.tobytes() for key in keys), fitness, strict=True))
        self._best = np.asarray(state["best fitness"], np.float64)
        self._relatives = deque(np.asarray(state["relatives"], np.float64), maxlen=RELATIVES)

    def fitness(
        self, candidates: Sequence[Candidate], stop: Callable[[], bool] = never
    ) -> Float64Array:
        """The fitness of a generation, (candidates,), which a search minimises.

        It is infinite for the candidates that are given up. The first candidate ever counts K
        times, because a search starts with K copies of it.

        Args:
            candidates: arrays of one type and shape.
            stop: is called before each run. Once it returns true, all candidates that are not yet
                settled are given up, except for the most promising one, if it is better than all
                earlier ones.
        """
        keys = [blake2b(codes.tobytes(), digest_size=_KEY_BYTES).digest() for codes in candidates]
        fresh = {
            key: codes
            for key, codes in zip(keys, candidates, strict=True)
            if key not in self._known
        }
        by_user = self._evaluator.metric.against == "user"
        scored = (self._scored_whole if by_user else self._raced)(list(fresh.values()), stop)
        copies = [] if self._known else scored[:1] * (len(self._best) - 1)
        self._known.update(zip(fresh, scored, strict=False))
        self._best = np.sort([*self._best, *scored, *copies])[: len(self._best)]
        return np.array([self._known.get(key, np.inf) for key in keys])

    def _scored_whole(
        self, candidates: Sequence[Candidate], stop: Callable[[], bool]
    ) -> list[float]:
        """Fitness by a user's metric, which takes all outputs at once and so allows no race."""
        fitness: list[float] = []
        for codes in candidates:
            if stop():
                break
            value = self._evaluator.value(self._values_of(codes))
            fitness.append(self._evaluator.metric.fitness(value))
        return fitness

    def _raced(self, candidates: Sequence[Candidate], stop: Callable[[], bool]) -> list[float]:
        entrants = [_Entrant(codes) for codes in candidates]
        running, done = entrants, 0
        for end in self._comparisons:
            in_time = self._score(running, done, end, stop)
            done = end
            if not in_time or end < self._comparisons[-1]:
                running = self._undecided(running, entrants)
            if not in_time:
                for entrant in running[1:]:
                    entrant.fitness = np.inf
            if not in_time or not running:
                break
        self._complete_the_best(entrants)
        for entrant in running:
            if len(entrant.losses) < self._samples:  # out of time, and not the best so far
                entrant.fitness = np.inf
        for entrant in entrants:
            if len(entrant.losses) == self._samples and np.isfinite(entrant.fitness):
                self._relatives.appendleft(entrant.losses)
        return [entrant.fitness for entrant in entrants]

    def _score(
        self, running: list[_Entrant], first: int, end: int, stop: Callable[[], bool] = never
    ) -> bool:
        """Add the losses on the batches from `first` up to `end`.

        Returns:
            Whether all of them were computed before `stop`.
        """
        codes = [entrant.codes for entrant in running]
        scored = self._evaluator.losses(codes, self._values_of, first, end, stop)
        sign = -1.0 if self._evaluator.metric.higher_is_better else 1.0
        for entrant, losses in zip(running, scored, strict=True):
            if losses is not None:
                entrant.losses = np.concatenate([entrant.losses, sign * losses])
                mean = entrant.losses.mean()
                entrant.fitness = float(mean) if np.isfinite(mean) else np.inf
        return all(losses is not None for losses in scored)

    def _undecided(self, running: list[_Entrant], entrants: list[_Entrant]) -> list[_Entrant]:
        """The candidates that must be scored on more samples, most promising first."""
        running = [entrant for entrant in running if np.isfinite(entrant.fitness)]
        if not self._relatives or np.isinf(self._doubt):
            return sorted(running, key=lambda entrant: entrant.fitness)
        relatives = np.array(self._relatives)  # (relatives, samples)
        forecasts = [forecast(entrant.losses, relatives) for entrant in running]
        for entrant, estimate in zip(running, forecasts, strict=True):
            entrant.fitness = estimate.mean
        everyone = np.sort([*self._best, *[entrant.fitness for entrant in entrants]])
        best, last = everyone[0], everyone[len(self._best) - 1]  # last: t, the K-th best
        undecided = []
        for entrant, estimate in zip(running, forecasts, strict=True):
            excess, enough = estimate.mean - last, 4 * len(entrant.losses) >= self._samples
            if estimate.differing < DIFFERING or np.isinf(last):
                undecided.append(entrant)
            elif excess > (0.0 if enough else self._doubt * estimate.error):
                entrant.fitness = np.inf
            elif not enough and (excess > 0 or estimate.error > SETTLED * (last - best)):
                undecided.append(entrant)
        return sorted(undecided, key=lambda entrant: entrant.fitness)

    def _complete_the_best(self, entrants: list[_Entrant]) -> None:
        """Score the best candidate on all samples, if its forecast is better than all before.

        If its exact fitness is worse than another forecast, that candidate is next. This is done
        even when time is up, because the best candidate would be lost otherwise.
        """
        batches = len(self._evaluator.counts)
        ends = list(accumulate(self._evaluator.counts, initial=0))
        while True:
            best = min(entrants, key=lambda entrant: entrant.fitness, default=None)
            if best is None or not best.fitness < self._best[0]:
                return
            if len(best.losses) == self._samples:
                return
            self._score([best], ends.index(len(best.losses)), batches)
