"""Score candidates for weights that are inputs of the graph: one session serves all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float32Array
from onnx_evoq.batch import Batch, per_sample
from onnx_evoq.metrics import Metric, PerSample, Target
from onnx_evoq.score.run_pool import Run, RunPool
from onnx_evoq.score.session import Session

Values = Mapping[str, Float32Array]  # by weight
Candidate = TypeVar("Candidate")
Result = TypeVar("Result")


def never() -> bool:
    """What stops nothing."""
    return False


class Evaluator:
    """Scores values of one weight or several, everything else in the model standing still.

    Equivalent to building the model anew with each candidate and running all of it::

        for values in candidates:
            model = replace_weights(model, values)
            scores.append(target.value(predict(Session(model), batches)))

    Args:
        session: the part of the model that follows the weights, with these as inputs, to run on one
            core.
        crew: does the runs.
        dtypes: the types of those inputs, by name.
        inputs: what the session takes besides the weights.
        outputs: the names of all outputs, in the model's order; those that the session does not
            give depend on none of the weights, and are among `tensors`.
        tensors: for each batch, the inputs and those outputs.
        batches: the batches that they stem from.
        target: what the outputs are scored against, a reference among it.
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
        target: Target,
    ) -> None:
        self._session = session
        self._pool = run_pool
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self._inputs = inputs
        self._outputs = outputs
        self._tensors = tensors
        self._batches = batches
        self._target = target
        self.evaluations = 0

    @property
    def metric(self) -> Metric:
        """What is measured."""
        return self._target.metric

    @property
    def counts(self) -> list[int]:
        """How many samples each batch holds."""
        return [batch.count for batch in self._batches]

    def value(self, values: Values) -> float:
        """The metric of the model with `values` as the weights."""
        self.evaluations += 1
        batches = len(self._batches)
        if self.metric.against == "user":
            kind = ("outputs", batches)
            (outputs,) = self._pool.do([self._runs(values, self._answers, 0, batches)], kind)
            return self._target.value(outputs)
        (losses,) = self._pool.do([self._runs(values, self._losses, 0, batches)], (1, 0, batches))
        return float(np.concatenate(losses).mean())

    def losses(
        self,
        candidates: Sequence[Candidate],
        values_of: Callable[[Candidate], Values],
        first: int,
        end: int,
        stop: Callable[[], bool] = never,
    ) -> list[PerSample | None]:
        """The metric of each sample of the batches from `first` to `end`, (samples,) per candidate.

        A candidate counts as an evaluation where `first` is 0.

        Args:
            candidates: what stands for values of the weights.
            values_of: these values; asked for when a candidate's turn comes.
            first: the first batch.
            end: the one behind the last.
            stop: looked at before each run; once it is true, candidates whose runs are not done
                have None.
        """

        def runs(candidate: Candidate) -> Iterator[Run[PerSample]]:
            if not stop():
                values = values_of(candidate)
                self.evaluations += first == 0
                for run in self._runs(values, self._losses, first, end):
                    if stop():
                        break
                    yield run

        kind = (len(candidates), first, end)
        found = self._pool.do([runs(candidate) for candidate in candidates], kind)
        return [np.concatenate(parts) if len(parts) == end - first else None for parts in found]

    def answers(
        self, candidates: Iterable[Values], read: Callable[[Arrays], PerSample]
    ) -> Iterator[PerSample]:
        """What `read` makes of the model's outputs, (samples, ...), candidate by candidate.

        Args:
            candidates: values of the weights.
            read: from the outputs of a batch, (count, ...) each, to one row per sample.
        """

        def work(values: Values, index: int) -> PerSample:
            return read(self._answers(values, index))

        batches = len(self._batches)
        for candidate in candidates:
            self.evaluations += 1
            runs = self._runs(candidate, work, 0, batches)
            (parts,) = self._pool.do([runs], ("answers", batches))
            yield np.concatenate(parts)

    def feed(self, values: Values, tensors: Arrays) -> dict[str, Array]:
        """What a run takes: `values` as the weights, and its part of a batch's tensors."""
        feed: dict[str, Array] = {name: tensors[name] for name in self._inputs}
        for name, dtype in self._dtypes.items():
            feed[name] = values[name].astype(dtype, copy=False)
        return feed

    def _runs(
        self,
        values: Values,
        work: Callable[[Values, int], Result],
        first: int,
        end: int,
    ) -> Iterator[Run[Result]]:
        return (partial(work, values, index) for index in range(first, end))

    def _answers(self, values: Values, index: int) -> dict[str, Array]:
        tensors = self._tensors[index]  # once: they may have to be read from a file
        known = {**tensors, **self._session.run(self.feed(values, tensors))}
        return {n: per_sample(n, known[n], self._batches[index]) for n in self._outputs}

    def _losses(self, values: Values, index: int) -> PerSample:
        return self._target.per_sample([self._answers(values, index)], index)
