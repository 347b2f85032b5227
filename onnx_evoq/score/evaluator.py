"""Score candidates for one or several weights, in a session that takes these weights as inputs."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import Criterion, Metric, PerSample
from onnx_evoq.outputs_by_sample import per_sample
from onnx_evoq.score.run_pool import Run, RunPool
from onnx_evoq.score.session import Session

Values = Mapping[str, Array]  # by the name of a weight
CandidateT = TypeVar("CandidateT")
Value = TypeVar("Value")


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
        session: the part of the model that depends on the weights, with the weights as inputs. It
            should use one core, see `RunPool`.
        run_pool: does the runs.
        dtypes: the types of the weights in the session, by name.
        inputs: the names of the session's other inputs.
        outputs: the names of all outputs of the model, in its order. Outputs that do not depend on
            the weights are not outputs of the session, but among the cached `tensors`.
        tensors: for each batch, the cached activations: `inputs`, and those outputs.
        batches: the batches that the cached activations were computed from.
        criterion: the metric, with the reference outputs or labels of these batches.

    Attributes:
        evaluations: how many candidates were scored so far.
    """

    def __init__(
        self,
        session: Session,
        run_pool: RunPool,
        dtypes: Mapping[str, str],
        inputs: Sequence[str],
        outputs: Sequence[str],
        tensors: Sequence[Arrays],
        batches: Sequence[Batch],
        criterion: Criterion,
    ) -> None:
        self._session = session
        self._pool = run_pool
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self._inputs = inputs
        self._outputs = outputs
        self._tensors = tensors
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
                (outputs,) = self._pool.do([self._runs(values, self._outputs_of, 0, batches)], kind)
            except ModelError:
                if self._criterion.wanted is None:
                    raise
                return math.nan  # the part that is not scored may fail on what a search finds
            return self._criterion.value(outputs)
        (losses,) = self._pool.do([self._runs(values, self._losses, 0, batches)], (1, 0, batches))
        return float(np.concatenate(losses).mean())

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

        def runs(candidate: CandidateT) -> Iterator[Run[PerSample]]:
            if not stop():
                values = values_of(candidate)
                self.evaluations += first == 0
                for run in self._runs(values, self._losses, first, end):
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

        def work(values: Values, index: int) -> PerSample:
            return read(self._outputs_of(values, index))

        batches = len(self._batches)
        for candidate in candidates:
            self.evaluations += 1
            runs = self._runs(candidate, work, 0, batches)
            (parts,) = self._pool.do([runs], ("answers", batches))
            yield np.concatenate(parts)

    def feed(self, values: Values, tensors: Arrays) -> dict[str, Array]:
        """The session's inputs: these values as the weights, and the cached activations it reads.

        Args:
            values: values of the weights.
            tensors: the cached activations of a batch.
        """
        feed: dict[str, Array] = {name: tensors[name] for name in self._inputs}
        for name, dtype in self._dtypes.items():
            feed[name] = values[name].astype(dtype, copy=False)
        return feed

    def _runs(
        self, values: Values, work: Callable[[Values, int], Value], first: int, end: int
    ) -> Iterator[Run[Value]]:
        """One run per batch, from the index `first` up to `end`."""
        return (partial(work, values, index) for index in range(first, end))

    def _outputs_of(self, values: Values, index: int) -> dict[str, Array]:
        """The model's outputs for a batch, (count, ...) each."""
        tensors = self._tensors[index]  # looked up once, as it may read a file
        known = {**tensors, **self._session.run(self.feed(values, tensors))}
        batch, unlike = self._batches[index], self._session.unlike
        return {n: per_sample(n, known[n], batch, unlike=n in unlike) for n in self._outputs}

    def _losses(self, values: Values, index: int) -> PerSample:
        """The metric of each sample of a batch, (count,)."""
        return self._criterion.per_sample([self._outputs_of(values, index)], index)
