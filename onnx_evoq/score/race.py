"""Score generations of candidates on more and more samples, each on as many as its fate needs.

A search that keeps the best K of all it has seen need not know the loss of all others, nor that of
the K to the last digit. Candidates run over 32 samples, then 64, 128 and so on to all N, the same
for all of them. After n samples with losses l, a candidate's mean over all N is forecast with the
help of a relative, whose losses r on all samples are known:

    forecast = mean_N(r) + mean_n(l - r),    error = std_n(l - r) / sqrt(n) * sqrt(1 - n / N)

The relative is the one of the last RELATIVES candidates scored on all samples with the smallest
std_n(l - r). What is hard for both cancels, and with all samples no error is left. With t the K-th
best forecast so far, this generation's among them, a candidate is

1. given up, once forecast - t > doubt * error;
2. settled, once forecast <= t and the error is below SETTLED times the distance from the best to t:
   its fitness is the forecast;
3. given up or settled by the sign of forecast - t, once a quarter of the samples is scored: the
   error is then sqrt(3) times that of the mean of all N as an estimate for unseen samples, and a
   population whose members are that close has little to choose from;
4. else scored on more samples. A candidate that differs from its relative on fewer than DIFFERING
   samples, as answers that are right or wrong do, is always scored on more: a deviation of so few
   means nothing.

The best so far is always scored on all samples.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float64Array
from onnx_evoq.metrics import PerSample
from onnx_evoq.score.evaluator import Evaluator, Values, never

Candidate = NDArray[Any]

COMPARED_AT = tuple(32 * 2**k for k in range(12))  # samples after which candidates are compared

# Chosen on searches from 4 bits in a ResNet-20, mse, 1,024 samples: without rule 3, 92 and
# 96 % of the 32 best of each of 40 generations were found with a tenth of the samples. Stricter
# values found more and took longer; searches ended at the same error as with full scoring.
DOUBT = 0.7  # errors by which a candidate must be worse than t to be given up
SETTLED = 0.3  # error of what is settled, as a share of the distance from the best to t
RELATIVES = 32  # as many of those that were last scored on all samples
DIFFERING = 8  # samples whose loss must differ from the relative's for a deviation to mean much


class Forecast(NamedTuple):
    """What is known of a candidate's mean loss over all samples.

    Attributes:
        mean: the forecast.
        error: its standard error; 0 where all samples were scored.
        differing: samples whose loss is not the relative's.
    """

    mean: float
    error: float
    differing: int


@dataclass(eq=False)
class _Entrant:
    """A candidate in a race, with its losses so far and the fitness that they promise."""

    codes: Candidate
    losses: PerSample = field(default_factory=lambda: np.empty(0))
    fitness: float = np.inf  # before any loss is known


class Race:
    """Fitness of candidates: exact for the best, forecast for others that stay.

    What was seen before is not scored again. A candidate is an array of integers of any shape: the
    codes of a weight, those of all weights one behind the other, or whatever else stands for values
    of weights.

    Args:
        evaluator: scores candidates.
        keep: how many of the best stay: the population of the search.
        values_of: the weights' values that a candidate stands for.
        doubt: errors by which a candidate must be worse than the last of these to be given up;
            infinite to score all of them on all samples.
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
        self._known: dict[bytes, float] = {}
        self._best = np.full(keep, np.inf)  # fitness of those that stay, ascending
        self._relatives: deque[PerSample] = deque(maxlen=RELATIVES)  # (samples,) each, last first
        self._comparisons = comparison_batches(evaluator.counts)
        self._samples = sum(evaluator.counts)

    def fitness(
        self, candidates: Sequence[Candidate], stop: Callable[[], bool] = never
    ) -> Float64Array:
        """What a search minimises, (candidates,): infinite for those that are given up.

        The first candidate of all counts `keep` times, as the start of a search does.

        Args:
            candidates: arrays of one type and shape.
            stop: looked at before each run; once it is true, what is in doubt is given up, but for
                the most promising, if it is better than all before.
        """
        keys = [blake2b(codes.tobytes(), digest_size=16).digest() for codes in candidates]
        fresh = {
            key: codes
            for key, codes in zip(keys, candidates, strict=True)
            if key not in self._known
        }
        by_user = self._evaluator.metric.against == "user"
        found = (self._valued if by_user else self._raced)(list(fresh.values()), stop)
        copies = [] if self._known else found[:1] * (len(self._best) - 1)
        self._known.update(zip(fresh, found, strict=False))
        self._best = np.sort([*self._best, *found, *copies])[: len(self._best)]
        return np.array([self._known.get(key, np.inf) for key in keys])

    def _valued(self, candidates: Sequence[Candidate], stop: Callable[[], bool]) -> list[float]:
        """A user's metric needs all outputs at once."""
        found: list[float] = []
        for codes in candidates:
            if stop():
                break
            value = self._evaluator.value(self._values_of(codes))
            found.append(self._evaluator.metric.fitness(value))
        return found

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
        self._prove_the_best(entrants)
        for entrant in running:
            if len(entrant.losses) < self._samples:  # out of time, and not better than all before
                entrant.fitness = np.inf
        for entrant in entrants:
            if len(entrant.losses) == self._samples and np.isfinite(entrant.fitness):
                self._relatives.appendleft(entrant.losses)
        return [entrant.fitness for entrant in entrants]

    def _score(
        self, running: list[_Entrant], first: int, end: int, stop: Callable[[], bool] = never
    ) -> bool:
        """Add the losses on the batches from `first` to `end`; whether all was done in time."""
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
        """Those that must be scored on more samples, most promising first."""
        running = [entrant for entrant in running if np.isfinite(entrant.fitness)]
        if not self._relatives or np.isinf(self._doubt):
            return sorted(running, key=lambda entrant: entrant.fitness)
        relatives = np.array(self._relatives)  # (relatives, samples)
        forecasts = [forecast(entrant.losses, relatives) for entrant in running]
        for entrant, found in zip(running, forecasts, strict=True):
            entrant.fitness = found.mean
        everyone = np.sort([*self._best, *[entrant.fitness for entrant in entrants]])
        best, last = everyone[0], everyone[len(self._best) - 1]
        left = []
        for entrant, found in zip(running, forecasts, strict=True):
            excess, enough = found.mean - last, 4 * len(entrant.losses) >= self._samples
            if found.differing < DIFFERING or np.isinf(last):
                left.append(entrant)
            elif excess > (0.0 if enough else self._doubt * found.error):
                entrant.fitness = np.inf
            elif not enough and (excess > 0 or found.error > SETTLED * (last - best)):
                left.append(entrant)
        return sorted(left, key=lambda entrant: entrant.fitness)

    def _prove_the_best(self, entrants: list[_Entrant]) -> None:
        """While a forecast is better than all before, score that candidate on all samples.

        Even when time is up: else it would be lost.
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


def forecast(losses: PerSample, relatives: Float64Array) -> Forecast:
    """The mean loss over all samples, from that over the first of them and the closest relative.

    Args:
        losses: (n,): of the first n samples.
        relatives: (relatives, samples): losses of others that were scored on all samples; the first
            of those that are equally close is taken.

    Example:
        >>> forecast(np.array([1.0, 3.0]), np.array([[1.0, 2.0, 4.0, 5.0]])).mean
        3.5
    """
    count, samples = len(losses), relatives.shape[1]
    differences = losses - relatives[:, :count]  # (relatives, n)
    deviations = differences.std(axis=1, ddof=1)  # (relatives,)
    closest_codes = int(deviations.argmin())
    return Forecast(
        float(relatives[closest_codes].mean() + differences[closest_codes].mean()),
        float(deviations[closest_codes] * np.sqrt((1 - count / samples) / count)),
        int(np.count_nonzero(differences[closest_codes])),
    )


def comparison_batches(counts: Sequence[int]) -> list[int]:
    """After how many batches candidates are compared: at 32, 64, 128, .. samples, and at the end.

    Args:
        counts: samples in each batch.

    Example:
        >>> comparison_batches([16] * 64)
        [2, 4, 8, 16, 32, 64]
    """
    totals = list(accumulate(counts))
    ends = [bisect_left(totals, wanted) + 1 for wanted in COMPARED_AT if wanted <= totals[-1]]
    return sorted({*ends, len(counts)})
