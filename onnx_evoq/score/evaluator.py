"""Score candidates for one or several weights, in a session that takes these weights as inputs."""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Any, Protocol, TypeVar

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import Criterion, Metric, PerSample
from onnx_evoq.score.model_part import BatchRun, ModelPart, Values

CandidateT = TypeVar("CandidateT")


class Pool(Protocol):
    """Does runs, here (`RunPool`) or elsewhere."""

    @property
    def at_once(self) -> int:
        """How many candidates should be given at a time, so that all work is done side by side."""
        ...

    def do(self, jobs: Sequence[Iterable[BatchRun]], kind: Hashable = None) -> list[list[Any]]:
        """Do all runs, and return the results of each job in the order of its runs."""
        ...


def never() -> bool:
    """The `stop` of a caller that never stops."""
    return False


class Evaluator:
    """Scores candidate values of one or several weights, while the rest of the model stays fixed.

    The session holds the part of the model that depends on these weights. The activations that this
    part reads were computed once for all candidates, and are cached. The scores are those of the
    whole model::

        for values in candidates:
            model = replace_weights(model, values)
            scores.append(criterion.value(predict(Session(model), batches)))

    Args:
        part: the part of the model that depends on the weights, or what stands for one elsewhere.
        run_pool: does its runs.
        batches: the samples.
        criterion: the metric, with the reference outputs or labels of these batches.

    Attributes:
        evaluations: how many candidates were scored so far.
    """

    def __init__(
        self, part: ModelPart | Any, run_pool: Pool, batches: Sequence[Batch], criterion: Criterion
    ) -> None:
        self.part = part
        self._pool = run_pool
        self._batches = batches
        self._criterion = criterion
        self.evaluations = 0

    @property
    def metric(self) -> Metric:
        """The metric that scores."""
        return self._criterion.metric

    @property
    def counts(self) -> list[int]:
        """The number of samples in each batch."""
        return [batch.count for batch in self._batches]

    def value(self, values: Values) -> float:
        """The metric of the model with these values as the weights, over all samples."""
        self.evaluations += 1
        batches = len(self._batches)
        if self.metric.against == "user":
            kind = ("outputs", batches)
            try:
                (outputs,) = self._pool.do([self._runs(values, 0, batches, dict)], kind)
            except ModelError:
                if self._criterion.wanted is None:
                    raise
                return math.nan  # the part that is not scored may fail on what a search finds
            return self._criterion.value(outputs)
        (losses,) = self._pool.do([self._runs(values, 0, batches)], (1, 0, batches))
        return float(np.concatenate(losses).mean())

    def values(
        self,
        candidates: Sequence[CandidateT],
        values_of: Callable[[CandidateT], Values],
        stop: Callable[[], bool] = never,
    ) -> Iterator[float]:
        """The metric of several models over all samples, for the first candidates.

        Args:
            candidates: as for `losses`.
            values_of: as for `losses`.
            stop: is called before each run. Once it returns true, no more is yielded.
        """
        if self.metric.against == "user":  # takes all outputs of one candidate at a time
            in_time = takewhile(lambda _: not stop(), candidates)
            yield from (self.value(values_of(candidate)) for candidate in in_time)
            return
        for losses in self.losses(candidates, values_of, 0, len(self._batches), stop):
            if losses is None:
                return
            yield float(losses.mean())

    def losses(
        self,
        candidates: Sequence[CandidateT],
        values_of: Callable[[CandidateT], Values],
        first: int,
        end: int,
        stop: Callable[[], bool] = never,
    ) -> list[PerSample | None]:
        """The metric of each sample of some batches, (samples,), for each candidate.

        A candidate counts as an evaluation where `first` is 0.

        Args:
            candidates: anything that stands for values of the weights.
            values_of: computes these values from a candidate, just before it is scored.
            first: the index of the first batch.
            end: one more than the index of the last batch.
            stop: is called before each run. Once it returns true, the result is None for each
                candidate whose runs are not all done.
        """

        def runs(candidate: CandidateT) -> Iterator[BatchRun]:
            if not stop():
                values = values_of(candidate)
                self.evaluations += first == 0
                for run in self._runs(values, first, end):
                    if stop():
                        break
                    yield run

        kind = (len(candidates), first, end)
        scored = self._pool.do([runs(candidate) for candidate in candidates], kind)
        return [np.concatenate(parts) if len(parts) == end - first else None for parts in scored]

    def answers(
        self, candidates: Iterable[Values], read: Callable[[Arrays], PerSample]
    ) -> Iterator[PerSample]:
        """Apply `read` to the model's outputs, and yield the result, (samples, ...), per candidate.

        Args:
            candidates: values of the weights.
            read: from the outputs of a batch, (count, ...) each, to one row per sample.
        """

        batches = len(self._batches)
        rest = iter(candidates)
        while some := list(islice(rest, self._pool.at_once)):
            runs = [self._runs(candidate, 0, batches, read) for candidate in some]
            self.evaluations += len(some)
            for parts in self._pool.do(runs, ("answers", len(some), batches)):
                yield np.concatenate(parts)

    def _runs(
        self,
        values: Values,
        first: int,
        end: int,
        read: Callable[[Arrays], Any] | None = None,
    ) -> Iterator[BatchRun]:
        """One run per batch, from the index `first` up to `end`."""
        return (BatchRun(self.part, values, index, read) for index in range(first, end))
