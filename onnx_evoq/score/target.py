"""What outputs are scored against: a metric, and reference outputs or labels of some samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.batch import Batch
from onnx_evoq.errors import MetricError
from onnx_evoq.score.metric import Metric
from onnx_evoq.score.output_metrics import Outputs


@dataclass(frozen=True)
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
    labels: NDArray[np.generic] | None

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

    def value(self, outputs: Iterable[Outputs], batches: Sequence[Batch]) -> float:
        """The metric's value over all batches.

        Args:
            outputs: a model's outputs for each of `batches`, consumed one by one.
            batches: the batches that the reference and the labels belong to.
        """
        if self.metric.against == "user":
            parts = list(outputs)
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            return self.metric.user_value(joined, self.labels)
        values, start = [], 0
        for position, (part, batch) in enumerate(zip(outputs, batches, strict=True)):
            reference = None if self.reference is None else self.reference[position]
            labels = None if self.labels is None else self.labels[start : start + batch.count]
            values.append(self.metric.per_sample(part, reference, labels))
            start += batch.count
        return float(np.concatenate(values).mean())
