"""Score candidates for one weight, which is an input of the graph: one session serves all."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.batch import Array, Arrays, Batch, per_sample
from onnx_evoq.score.metric import Metric
from onnx_evoq.score.output_metrics import PerSample
from onnx_evoq.score.session import Session
from onnx_evoq.score.target import Target


class Evaluator:
    """Scores values of one weight, everything else in the model standing still.

    Equivalent to building the model anew with each candidate and running all of it::

        for values in candidates:
            model = replace_weights(model, {weight: values})
            scores.append(target.value(predict(Session(model), batches)))

    Args:
        session: the part of the model that follows the weight, with the weight as an input.
        weight: the name of that input.
        dtype: its type.
        inputs: what the session takes besides the weight.
        outputs: the names of all outputs, in the model's order; those that the session does not
            give do not depend on the weight, and are among `tensors`.
        tensors: for each batch, the inputs and those outputs.
        batches: the batches that they stem from.
        target: what the outputs are scored against.
    """

    def __init__(
        self,
        session: Session,
        weight: str,
        dtype: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        tensors: Sequence[Arrays],
        batches: Sequence[Batch],
        target: Target,
    ) -> None:
        self._session = session
        self._weight = weight
        self._dtype = np.dtype(dtype)
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

    def value(self, values: NDArray[np.float32]) -> float:
        """The metric of the model with `values` as the weight."""
        self.evaluations += 1
        return self._target.value(self._answers(values, 0, len(self._batches)))

    def per_sample(self, values: NDArray[np.float32], first: int, end: int) -> PerSample:
        """The metric of each sample of the batches from `first` to `end`, (samples,).

        Counts as an evaluation where `first` is 0.
        """
        self.evaluations += first == 0
        return self._target.per_sample(self._answers(values, first, end), first)

    def feed(self, values: NDArray[np.float32], tensors: Arrays) -> dict[str, Array]:
        """What the session takes: `values` as the weight, and its part of a batch's tensors."""
        candidate = values.astype(self._dtype, copy=False)
        return {**{name: tensors[name] for name in self._inputs}, self._weight: candidate}

    def _answers(
        self, values: NDArray[np.float32], first: int, end: int
    ) -> Iterator[dict[str, Array]]:
        for place in range(first, end):
            tensors = self._tensors[place]  # once: they may have to be read from a file
            known = {**tensors, **self._session.run(self.feed(values, tensors))}
            yield {n: per_sample(n, known[n], self._batches[place]) for n in self._outputs}
