"""Make evaluators whose candidates are scored by the workers of a cluster."""

from collections.abc import Sequence

from onnx_evoq.array_types import Array
from onnx_evoq.engine.cuts import (
    HOMES,
    Bases,
    BatchTensors,
    Behind,
    Crossing,
    CutWalk,
    Expected,
    SentPart,
    Shards,
    WorkersPool,
    hold_network,
    specs_of,
)
from onnx_evoq.executors import Executor
from onnx_evoq.model import Cut, Runnable, as_network, initializer_values, suffix
from onnx_evoq.score import Evaluator
from onnx_evoq.setup import Resources, ScoringSet


class OnWorkers:
    """Makes evaluators that send candidates to workers.

    Args:
        sets: the scoring sets, with a built-in metric.
        resources: what a worker may use.
        share: share of its memory that activations may use.
        executor: knows the workers.
    """

    def __init__(
        self, sets: Sequence[ScoringSet], resources: Resources, share: float, executor: Executor
    ) -> None:
        self._sets, self._executor = sets, executor
        self._batches = [batch for scoring in sets for batch in scoring.batches]
        size = max(1, len(self._batches) // (HOMES * executor.workers))
        self._walk = CutWalk(self._batches, resources, share, Shards(self._batches, executor, size))
        self._expected = [[executor.hold(each) for each in _expected(s)] for s in sets]

    def crossing(self, model: Runnable, cut: Cut) -> Crossing:
        """Let the workers compute the tensors that cross a cut."""
        return self._walk.crossing(model, cut)

    def behind(self, model: Runnable, cut: Cut, crossing: Crossing) -> list[Evaluator]:
        """Make an evaluator for each set, of the part of the model behind the cut."""
        executor, walk = self._executor, self._walk
        known = BatchTensors(self._batches, crossing.tensors)
        part = suffix(model, cut, specs_of(known, cut.suffix_inputs))
        behind = executor.hold(
            Behind(
                hold_network(executor, part), f"the model behind {cut.label}", walk.resources,
                self._sets[0].criterion.unlike,
            )
        )  # fmt: skip
        names = tuple(output.name for output in model.graph.output)
        bases = Bases(executor, initializer_values(as_network(model), list(cut.dtypes)), cut.dtypes)
        evaluators, start = [], 0
        for scoring, expected in zip(self._sets, self._expected, strict=True):
            criterion = scoring.criterion
            sent = SentPart(
                behind, crossing.stage, cut.dtypes, cut.suffix_inputs, names, criterion.metric,
                criterion.of_reference,
            )  # fmt: skip
            pool = WorkersPool(executor, walk.shards, start, expected, sent, bases)
            evaluators.append(Evaluator(sent, pool, scoring.batches, criterion))
            start += len(scoring.batches)
        return evaluators


def _expected(scoring: ScoringSet) -> list[Expected]:
    """What the outputs of each batch are compared with."""
    criterion, found, start = scoring.criterion, list[Expected](), 0
    for index, batch in enumerate(scoring.batches):
        end = start + batch.count
        reference = None if criterion.reference is None else criterion.reference[index]
        labels: Array | None = None if criterion.labels is None else criterion.labels[start:end]
        found.append(Expected(reference, labels))
        start = end
    return found
