"""A part of a model that takes some weights as inputs, with cached activations before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.metrics import Criterion, PerSample
from onnx_evoq.outputs_by_sample import per_sample
from onnx_evoq.score.session import Session

Values = Mapping[str, Array]  # by the name of a weight


class ModelPart:
    """The part of a model that depends on some weights, and what it reads besides these.

    Args:
        session: the part, with the weights as inputs. It should use one core, see `RunPool`.
        dtypes: the types of the weights in the session, by name.
        inputs: the names of the session's other inputs.
        outputs: the names of all outputs of the model, in its order. Outputs that do not depend on
            the weights are not outputs of the session, but among the cached `tensors`.
        tensors: for each batch, the cached activations: `inputs`, and those outputs.
        batches: the batches that the cached activations were computed from.
        criterion: the metric, with the reference outputs or labels of these batches.
    """

    def __init__(
        self,
        session: Session,
        dtypes: Mapping[str, str],
        inputs: Sequence[str],
        outputs: Sequence[str],
        tensors: Sequence[Arrays],
        batches: Sequence[Batch],
        criterion: Criterion,
    ) -> None:
        self._session = session
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self._inputs = inputs
        self._outputs = outputs
        self._tensors = tensors
        self._batches = batches
        self._criterion = criterion

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

    def outputs(self, values: Values, index: int) -> dict[str, Array]:
        """The model's outputs for a batch, (count, ...) each."""
        tensors = self._tensors[index]  # looked up once, as it may read a file
        known = {**tensors, **self._session.run(self.feed(values, tensors))}
        batch, unlike = self._batches[index], self._session.unlike
        return {n: per_sample(n, known[n], batch, unlike=n in unlike) for n in self._outputs}

    def losses(self, values: Values, index: int) -> PerSample:
        """The metric of each sample of a batch, (count,)."""
        return self._criterion.per_sample([self.outputs(values, index)], index)


@dataclass(frozen=True, eq=False)
class BatchRun:
    """A run of a part for a candidate and a batch.

    Attributes:
        part: a `ModelPart`, or what stands for one that is elsewhere.
        values: of the weights.
        index: of the batch.
        read: is applied to the model's outputs; None for the losses.
    """

    part: Any
    values: Values
    index: int
    read: Callable[[Arrays], Any] | None = None

    def __call__(self) -> Any:
        """Do the run here."""
        if self.read is None:
            return self.part.losses(self.values, self.index)
        return self.read(self.part.outputs(self.values, self.index))
