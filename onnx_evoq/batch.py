"""Cut samples into batches.

Samples lie along the first axis of every array. Those of one shape are a group, and a batch holds
samples of one group only. If a model prescribes its batch size, the last batch is padded: its last
sample is repeated, and the outputs of the repetitions are dropped. If an array has one axis more
than the model's input, each sample is a whole feed, and each batch is one sample. That is how
inputs without a batch axis are fed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Indices
from onnx_evoq.signature import TensorSpec


def _nowhere() -> Indices:
    return np.arange(0)


@dataclass(frozen=True, eq=False)
class Group:
    """Samples whose inputs have one shape.

    Attributes:
        inputs: (samples, ...) for each input.
        places: (samples,) where each of them is among the samples of all groups, ascending.
    """

    inputs: Arrays
    places: Indices

    @property
    def values(self) -> int:
        """The number of input values of a sample."""
        return sum(array[:1].size for array in self.inputs.values())


def one_group(inputs: Arrays) -> Group:
    """All samples, which have one shape.

    Args:
        inputs: (samples, ...) for each input, one or more.
    """
    return Group(inputs, np.arange(len(next(iter(inputs.values())))))


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of one run.

    Attributes:
        feed: input arrays by name.
        size: the number of samples in the feed.
        count: the number of samples without padding.
        places: (count,) where they are among all samples.
        group: the number of their group.
    """

    feed: dict[str, Array]
    size: int
    count: int
    places: Indices = field(default_factory=_nowhere)
    group: int = 0

    @property
    def length(self) -> int:
        """The number of input values of a sample, at least 1."""
        return max(1, sum(array.size for array in self.feed.values()) // self.size)

    def first(self, count: int) -> "Batch":
        """The first samples, for a model that leaves the batch size free."""
        if count >= self.count:
            return self
        feed = {name: array[:count] for name, array in self.feed.items()}
        return replace(self, feed=feed, size=count, count=count, places=self.places[:count])


def mean_length(batches: Sequence[Batch]) -> float:
    """The mean number of input values of a sample."""
    return sum(b.length * b.count for b in batches) / sum(b.count for b in batches)


def places_of(batches: Sequence[Batch]) -> Indices:
    """Where the samples of some batches are among all samples, (samples,)."""
    return np.concatenate([batch.places for batch in batches])


def fixed_batch_size(inputs: Arrays, specs: Sequence[TensorSpec]) -> int | None:
    """The batch size that the model or the data prescribe; None if it is free.

    Args:
        inputs: an array (samples, ...) for each of `specs`.
        specs: the model's inputs.
    """
    if any(_whole_feeds(inputs[spec.name], spec) for spec in specs):
        return 1
    sizes = {spec.shape[0] for spec in specs if spec.shape} - {None}
    return min(size for size in sizes if size is not None) if sizes else None


def make_batches(
    inputs: Arrays, specs: Sequence[TensorSpec], size: int, ends: Sequence[int] = ()
) -> list[Batch]:
    """Cut samples into batches.

    Args:
        inputs: an array (samples, ...) for each of `specs`.
        specs: the model's inputs.
        size: samples per batch. The last batch is shorter, or padded if the model prescribes its
            batch size.
        ends: numbers of samples at which a batch must end, so that the samples before them can be
            scored alone. They are ignored if the model prescribes its batch size.

    Example:
        >>> specs = [TensorSpec("x", np.dtype("float32"), (None, 2))]
        >>> [batch.count for batch in make_batches({"x": np.zeros((5, 2))}, specs, 2)]
        [2, 2, 1]
    """
    samples = len(inputs[specs[0].name]) if specs else 1
    padded = fixed_batch_size(inputs, specs) is not None
    ends = [samples] if padded else sorted({*ends, samples})
    batches, start = [], 0
    while start < samples:
        end = next(end for end in ends if end > start)
        count = min(size, end - start, samples - start)
        rows = np.arange(start, start + (size if padded else count)).clip(max=samples - 1)
        feed = {spec.name: _rows(inputs[spec.name], spec, rows) for spec in specs}
        batches.append(Batch(feed, len(rows), count))
        start += count
    return batches


def batches_of(
    groups: Sequence[Group],
    specs: Sequence[TensorSpec],
    size_of: Callable[[Group], int],
    ends: Sequence[int] = (),
) -> list[Batch]:
    """Cut the samples of all groups into batches, in about the order of the samples.

    Args:
        groups: the samples.
        specs: the model's inputs.
        size_of: samples per batch of a group.
        ends: numbers of samples at which a batch must end. As many samples come first, of whatever
            groups, unless the model prescribes its batch size.

    Example:
        >>> groups = [Group({"x": np.zeros((2, 3))}, np.array([0, 2])),
        ...           Group({"x": np.zeros((2, 4))}, np.array([1, 3]))]
        >>> specs = [TensorSpec("x", np.dtype("float32"), (None, None))]
        >>> [batch.places.tolist() for batch in batches_of(groups, specs, lambda group: 2)]
        [[0, 2], [1, 3]]
        >>> [batch.places.tolist() for batch in batches_of(groups, specs, lambda group: 2, [2])]
        [[0], [1], [2], [3]]
    """
    batches = []
    for number, group in enumerate(groups):
        own_ends, start = np.searchsorted(group.places, ends).tolist(), 0
        for batch in make_batches(group.inputs, specs, size_of(group), own_ends):
            places = group.places[start : start + batch.count]
            batches.append(replace(batch, places=places, group=number))
            start += batch.count
    return sorted(batches, key=lambda batch: float(batch.places.mean()))


def listed(samples: Sequence[Array]) -> Array:
    """Samples as one array: (samples, ...), or an array of objects where their shapes differ."""
    if len({sample.shape for sample in samples}) == 1:
        return np.stack(samples)
    most = max(sample.ndim for sample in samples)
    joined = np.empty(len(samples), object)
    for row, sample in enumerate(samples):  # an axis of size 1 may have been taken for the samples'
        joined[row] = sample.reshape((1,) * (most - sample.ndim) + sample.shape)
    return joined


def _whole_feeds(array: Array, spec: TensorSpec) -> bool:
    """Whether each sample of an array is a whole feed."""
    return spec.shape is not None and array.ndim == len(spec.shape) + 1


def _rows(array: Array, spec: TensorSpec, rows: Indices) -> Array:
    if _whole_feeds(array, spec):
        return np.asarray(array[rows[0]])
    if rows[-1] - rows[0] == len(rows) - 1:  # without padding: a view, no copy
        return np.ascontiguousarray(array[rows[0] : rows[-1] + 1])
    return array[rows]
