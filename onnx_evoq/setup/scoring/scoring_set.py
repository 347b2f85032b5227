"""Samples with the outputs or labels that models are scored against."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import Criterion, Metric
from onnx_evoq.model import Runnable, with_outputs
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, Resources, run_model


@dataclass(frozen=True)
class Measured:
    """What depends on the time that the float model took when a job began.

    Attributes:
        seconds: that it took for one sample.
        batches: how many of the search set and of the held-out set it was run on.
        memory: bytes of activations that could be kept then.
    """

    seconds: float
    batches: tuple[int, ...]
    memory: int


@dataclass(frozen=True)
class ScoringSet:
    """Samples in batches, with the outputs or labels that a model is scored against.

    Attributes:
        batches: the samples.
        criterion: the metric, the float model's outputs and the labels of the samples.
    """

    batches: Sequence[Batch]
    criterion: Criterion

    def scored_by(self, metric: Metric) -> "ScoringSet":
        """The same samples, scored by another metric."""
        return replace(self, criterion=replace(self.criterion, metric=metric))

    def scored_by_relative_error(self) -> "ScoringSet":
        """The same samples, scored by the error that has no unit: nmse or channel_nmse."""
        return self.scored_by(self.criterion.relative_error)

    def first(self, samples: int) -> "ScoringSet":
        """The first batches that together hold at least so many samples, or all batches.

        Args:
            samples: how many samples, 1 or more.
        """
        totals = list(accumulate(batch.count for batch in self.batches))
        end = min(bisect_left(totals, samples) + 1, len(totals))
        reference, labels = self.criterion.reference, self.criterion.labels
        own = self.criterion.own
        part = replace(
            self.criterion,
            reference=None if reference is None else reference[:end],
            labels=None if labels is None else labels[: totals[end - 1]],
            own=None if own is None else own[:end],
        )
        return ScoringSet(self.batches[:end], part)

    @property
    def samples(self) -> int:
        """How many samples there are, without those that only fill a batch of fixed size."""
        return sum(batch.count for batch in self.batches)


def as_scored(model: Runnable, criterion: Criterion) -> Runnable:
    """A model whose outputs are all that a criterion takes of it, and no others."""
    names = criterion.wanted
    if names is None and criterion.reference:
        names = tuple(criterion.reference[0])
    if names is None or names == tuple(output.name for output in model.graph.output):
        return model
    return with_outputs(model, names)


def run_on(
    model: Runnable, scoring: ScoringSet, resources: Resources = DEFAULT_RESOURCES
) -> Iterator[Arrays]:
    """Run a whole model in a new session: all that the criterion takes of it, for each batch."""
    criterion = scoring.criterion
    seen = as_scored(model, criterion)
    return run_model(seen, scoring.batches, resources, unlike=criterion.unlike)


def model_value(
    model: Runnable, scoring: ScoringSet, resources: Resources = DEFAULT_RESOURCES
) -> float:
    """The metric of a whole model on a scoring set, in a new session.

    It is NaN where a user's metric takes outputs that the model fails to compute, as it may if
    what is found by a search is no region of a picture.
    """
    try:
        return scoring.criterion.value(run_on(model, scoring, resources))
    except ModelError:
        if scoring.criterion.wanted is None:
            raise
        return math.nan
