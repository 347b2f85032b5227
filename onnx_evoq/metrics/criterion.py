"""A criterion: a metric with the reference outputs or labels that outputs are compared with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array, Float64Array
from onnx_evoq.errors import MetricError
from onnx_evoq.metrics.metric import Metric, find_metric
from onnx_evoq.metrics.output_layout import Layouts, output_layouts
from onnx_evoq.metrics.output_metrics import Outputs, PerSample
from onnx_evoq.outputs_by_sample import concatenated


@dataclass(frozen=True, eq=False)
class Criterion:
    """A metric, and the expected outputs or labels for a sequence of batches.

    Attributes:
        metric: how outputs are scored.
        reference: the float model's outputs for each batch; None where the metric needs none.
        labels: (samples,) over all batches; None where there are none.
        layouts: of the outputs, by name; None to find them in the reference outputs. Of several
            sets of samples, all should have the same.
        own: where a model is scored at other tensors than its outputs, and a user's metric takes
            these: those of the float model for each batch.
        unlike: the names of those of `own` that have no array of one shape for each sample. A
            metric takes them as a list, with what a run gives for each sample.

    Raises:
        MetricError: the metric needs labels or reference outputs, and there are none.
    """

    metric: Metric
    reference: Sequence[Outputs] | None
    labels: Array | None
    layouts: Layouts | None = None
    own: Sequence[Outputs] | None = None
    unlike: frozenset[str] = frozenset()

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
    def of_reference(self) -> Layouts | None:
        """The layouts of the outputs; None if they are not given, and there is no reference."""
        if self.layouts is not None or self.reference is None:
            return self.layouts
        return output_layouts(self.reference, {})

    @cached_property
    def powers(self) -> Mapping[str, Float64Array]:
        """What squared differences of the outputs of floats are divided by, to be broadcast.

        It is the mean square of the reference outputs if the metric measures whole outputs, else
        the power of their channels.
        """
        parts, layouts = self.reference or (), self.of_reference or {}
        names = [name for name, values in parts[0].items() if values.dtype.kind == "f"]
        if not self.metric.of_whole_outputs:
            return {name: layouts[name].power_of_values for name in names}
        powers = {}
        for name in names:  # the mean of those of the batches in which the output has rows
            squares = [
                np.mean(np.square(part[name], dtype=np.float64))
                for part in parts
                if part[name].size
            ]
            powers[name] = np.asarray(np.mean(squares) if squares else 1.0)
        return powers

    @cached_property
    def relative_error(self) -> Metric:
        """The error metric without a unit: channel_nmse where the metric tells channels apart.

        Otherwise it is nmse.
        """
        unlike = any(layout.channels is not None for layout in (self.of_reference or {}).values())
        by_channel = unlike and not self.metric.of_whole_outputs
        return find_metric("channel_nmse" if by_channel else "nmse")

    def value(self, outputs: Iterable[Outputs]) -> float:
        """The metric's value over all batches.

        Args:
            outputs: a model's outputs for each batch; it may be an iterator.

        Raises:
            EvoqError: as for `Metric.per_sample` and `Metric.user_value`.
        """
        if self.metric.against == "user":
            joined: dict[str, Any] = concatenated(outputs)
            if self.own is not None:
                joined = {name: joined[name] for name in self.own[0]}
            joined |= {name: list(joined[name]) for name in self.unlike}
            return self.metric.user_value(joined, self.labels)
        return float(self.per_sample(outputs).mean())

    @property
    def of_float_model(self) -> Sequence[Outputs]:
        """All that the float model gave, for each batch."""
        reference = self.reference or ()
        if self.own is None:
            return reference
        return [{**points, **own} for points, own in zip(reference, self.own, strict=True)]

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """The tensors that a run must give; None for the outputs of the model."""
        if self.own is None or self.metric.against != "user":
            return None
        return tuple(self.of_float_model[0])

    def per_sample(self, outputs: Iterable[Outputs], first: int = 0) -> PerSample:
        """A built-in metric of each sample, (samples,); their mean is the value of the metric.

        Args:
            outputs: a model's outputs for the batches from `first` on; it may be an iterator.
            first: the index of the first of these batches; 0 where there is no reference.

        Raises:
            EvoqError: as for `Metric.per_sample`.
        """
        layouts = self.of_reference
        if layouts is None:
            outputs = list(outputs)
            layouts = output_layouts(outputs, {})
        values, start = [], self._starts[first]
        for index, batch in enumerate(outputs, first):
            end = start + len(next(iter(batch.values())))
            reference = None if self.reference is None else self.reference[index]
            labels = None if self.labels is None else self.labels[start:end]
            values.append(self.metric.per_sample(batch, reference, labels, layouts))
            start = end
        return np.concatenate(values)

    @cached_property
    def _starts(self) -> list[int]:
        """The index of each batch's first sample among all samples."""
        sizes = [len(next(iter(batch.values()))) for batch in self.reference or ()]
        return [0, *accumulate(sizes)]
