"""What outputs are scored against: a metric, and reference outputs or labels of some samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.batch import concatenated
from onnx_evoq.errors import MetricError
from onnx_evoq.metrics.metric import Metric
from onnx_evoq.metrics.output_metrics import Names, Outputs, PerSample, probable_outputs


@dataclass(frozen=True, eq=False)
class Target:
    """The expected answers for a sequence of batches.

    Attributes:
        metric: how outputs are compared with them.
        reference: the reference model's outputs for each batch, None where the metric needs none.
        labels: (samples,) over all batches, None where there are none.

    Raises:
        MetricError: the metric needs labels or a reference that are not there.
    """

    metric: Metric
    reference: Sequence[Outputs] | None
    labels: Array | None

    def __post_init__(self) -> None:
        if self.metric.against == "labels" and self.labels is None:
            raise MetricError(
                f"metric {self.metric.name!r} needs labels, and the data have none: "
                "add them (y in an .npz, class folders, a labels file) or choose mse, kl or sqnr."
            )
        if self.metric.against == "reference" and self.reference is None:
            raise MetricError(
                f"metric {self.metric.name!r} compares with a float model: name it (--reference)."
            )

    @cached_property
    def _probable(self) -> Names | None:
        """Names of the outputs that are probabilities, None where there is no reference."""
        return None if self.reference is None else probable_outputs(self.reference)

    def value(self, outputs: Iterable[Outputs]) -> float:
        """The metric's value over all batches.

        Args:
            outputs: a model's outputs for each batch, consumed one by one.

        Raises:
            EvoqError: as for `Metric.per_sample` and `Metric.user_value`.
        """
        if self.metric.against == "user":
            return self.metric.user_value(concatenated(list(outputs)), self.labels)
        return float(self.per_sample(outputs).mean())

    def per_sample(self, outputs: Iterable[Outputs], first: int = 0) -> PerSample:
        """The metric of each sample, (samples,); their mean is its value. Not for a user's metric.

        Args:
            outputs: a model's outputs for the batches from `first` on, consumed one by one.
            first: the place of the first of these batches; 0 where there is no reference.

        Raises:
            EvoqError: as for `Metric.per_sample`.
        """
        probable = self._probable
        if probable is None:
            outputs = list(outputs)
            probable = probable_outputs(outputs)
        values, start = [], self._starts[first]
        for position, part in enumerate(outputs, first):
            end = start + len(next(iter(part.values())))
            reference = None if self.reference is None else self.reference[position]
            labels = None if self.labels is None else self.labels[start:end]
            values.append(self.metric.per_sample(part, reference, labels, probable))
            start = end
        return np.concatenate(values)

    @cached_property
    def _starts(self) -> list[int]:
        """Where each batch starts among the samples."""
        sizes = [len(next(iter(part.values()))) for part in self.reference or ()]
        return [0, *accumulate(sizes)]
