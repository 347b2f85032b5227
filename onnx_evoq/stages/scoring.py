"""Samples with their expected answers, and the score of a whole model on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnx_evoq.batch import Batch
from onnx_evoq.model import Model, serialize
from onnx_evoq.score import Metric, Session, Target, predict


@dataclass(frozen=True)
class ScoringSet:
    """Samples in batches, and what their outputs are scored against."""

    batches: Sequence[Batch]
    target: Target

    def scored_by(self, metric: Metric) -> "ScoringSet":
        """The same samples, scored by another metric."""
        return replace(self, target=replace(self.target, metric=metric))

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(batch.count for batch in self.batches)


def model_value(model: Model, scoring: ScoringSet, providers: Sequence[str] | None = None) -> float:
    """The metric of a whole model, in a fresh session."""
    session = Session(serialize(model), providers=providers)
    return scoring.target.value(predict(session, scoring.batches))
