"""The fitness of a whole network by the codes of all its weights."""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Codes, Float64Array
from onnx_evoq.engine import Evaluators
from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.metrics import Metric
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.setup import Task

_LEAST_SAMPLES = 8  # of a part of the search set, but the last one


class CodeFitness:
    """Scores networks by their codes, (codes,); lower is better.

    Attributes:
        metric: what the fitness is made of.

    Args:
        task: the samples, and the deadline.
        start: the model, and the grids of its weights.
        doubt: as for `Race`.
    """

    def __init__(self, task: Task, start: QuantizedModel, doubt: float) -> None:
        self._values_of = CodeVector(start.quantized).values
        evaluators = Evaluators([task.search_set, task.heldout_set], task.resources)
        self._on_search, self._on_heldout = evaluators.at(start.as_float, *start.quantized)
        self._race = Race(self._on_search, 1, self._values_of, doubt)
        self._parts = parts_of(self._on_search.counts)
        self._deadline = task.deadline
        self._evaluations_on_later_batches = 0  # which the evaluator does not count
        self.metric: Metric = task.search_set.criterion.metric

    @property
    def parts(self) -> int:
        """The number of parts of the search set that are scored in turn."""
        return len(self._parts)

    @property
    def evaluations(self) -> int:
        """The number of candidates that were scored so far."""
        evaluators = (self._on_search, self._on_heldout)
        counted = sum(evaluator.evaluations for evaluator in evaluators)
        return counted + self._evaluations_on_later_batches

    @property
    def state(self) -> tuple[dict[str, Array], list[int]]:
        """What later scores depend on, as arrays by name, and the counts of evaluations."""
        evaluators = (self._on_search, self._on_heldout)
        counts = [evaluator.evaluations for evaluator in evaluators]
        return self._race.state, [*counts, self._evaluations_on_later_batches]

    def set_state(self, state: Arrays, counts: Sequence[int]) -> None:
        """Go on from a state of the fitness on the same samples."""
        self._race.set_state(state)
        self._on_search.evaluations, self._on_heldout.evaluations, later = counts
        self._evaluations_on_later_batches = later

    def of_one(self, codes: Codes) -> float:
        """The fitness of one candidate on the search set, however long it takes."""
        return float(self._race.fitness([codes])[0])

    def on_search_set(self, candidates: Sequence[Codes]) -> Float64Array:
        """The fitness on the search set, (candidates,), exact for the best.

        It is infinite for candidates that are clearly worse than the best, and for those that are
        not scored before the deadline.
        """
        return self._race.fitness(candidates, stop=lambda: self._deadline.passed)

    def on_heldout_set(self, codes: Codes) -> float:
        """The fitness of one candidate on the held-out set."""
        return self._whole(self._on_heldout, codes)

    def on_parts(self, candidates: Sequence[Codes], turn: int, count: int) -> Float64Array | None:
        """The fitness on some parts of the search set, other parts for each turn.

        A metric of the user needs all outputs at once, and is computed on the whole search set.

        Args:
            candidates: the codes of networks.
            turn: counts the calls; consecutive turns score consecutive parts.
            count: the number of parts.

        Returns:
            (candidates,), or None if the deadline passes before all candidates are scored.
        """
        if self.metric.against == "user":
            values = []
            for codes in candidates:
                if self._deadline.passed:
                    return None
                values.append(self._whole(self._on_search, codes))
            return np.array(values)
        part = min(turn * count % self.parts, max(self.parts - count, 0))
        first = self._parts[part].start
        end = self._parts[min(part + count, self.parts) - 1].stop
        losses = self._on_search.losses(
            candidates, self._values_of, first, end, lambda: self._deadline.passed
        )
        scored = [each for each in losses if each is not None]
        if first > 0:
            self._evaluations_on_later_batches += len(scored)
        if len(scored) < len(candidates):
            return None
        return np.array([self.metric.fitness(float(each.mean())) for each in scored])

    def _whole(self, evaluator: Evaluator, codes: Codes) -> float:
        return self.metric.fitness(evaluator.value(self._values_of(codes)))


def parts_of(counts: Sequence[int]) -> list[range]:
    """Parts of some batches, each of a batch or of so many that they hold enough samples.

    Args:
        counts: the number of samples in each batch.

    Example:
        >>> parts_of([16, 16, 3, 1, 1, 6, 2])
        [range(0, 1), range(1, 2), range(2, 6), range(6, 7)]
    """
    parts, start, samples = list[range](), 0, 0
    for index, count in enumerate(counts):
        samples += count
        if samples >= _LEAST_SAMPLES or index + 1 == len(counts):
            parts.append(range(start, index + 1))
            start, samples = index + 1, 0
    return parts
