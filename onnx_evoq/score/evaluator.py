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
        feeds: what the session takes besides the weight, one per batch.
        fixed: outputs of the model that do not depend on the weight, one mapping per batch.
        outputs: the names of all outputs, in the model's order.
        batches: the batches that the feeds stem from.
        target: what the outputs are scored against.
    """

    def __init__(
        self,
        session: Session,
        weight: str,
        dtype: str,
        feeds: Sequence[Arrays],
        fixed: Sequence[Arrays],
        outputs: Sequence[str],
        batches: Sequence[Batch],
        target: Target,
    ) -> None:
        self._session = session
        self._weight = weight
        self._dtype = np.dtype(dtype)
        self._feeds = feeds
        self._fixed = fixed
        self._names = outputs
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
        return self._target.value(self._outputs(values, 0, len(self._batches)))

    def per_sample(self, values: NDArray[np.float32], first: int, end: int) -> PerSample:
        """The metric of each sample of the batches from `first` to `end`, (samples,).

        Counts as an evaluation where `first` is 0.
        """
        self.evaluations += first == 0
        return self._target.per_sample(self._outputs(values, first, end), first)

    def _outputs(
        self, values: NDArray[np.float32], first: int, end: int
    ) -> Iterator[dict[str, Array]]:
        candidate = values.astype(self._dtype, copy=False)
        for place in range(first, end):
            feed, fixed, batch = self._feeds[place], self._fixed[place], self._batches[place]
            outputs = {**fixed, **self._session.run({**feed, self._weight: candidate})}
            yield {name: per_sample(name, outputs[name], batch) for name in self._names}
