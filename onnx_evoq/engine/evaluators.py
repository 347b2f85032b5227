"""Make evaluators, which score other values of some weights of a model."""

from collections.abc import Sequence

from onnx_evoq.array_types import Arrays
from onnx_evoq.engine.activation_cache import ActivationCache, BatchTensors, specs_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Cut, Runnable, cut_at, suffix, uncut
from onnx_evoq.score import Evaluator, RunPool
from onnx_evoq.setup import Resources, ScoringSet, as_scored, open_session, workers_of


class Evaluators:
    """Makes evaluators for a model whose weights change one by one.

    The model is cut at the weights; the part before the cut is run once (`ActivationCache`), the
    part behind it once per candidate.

    Args:
        sets: the scoring sets.
        resources: what the runs may use.
        share: share of the memory that the activation cache may use.
    """

    def __init__(
        self, sets: Sequence[ScoringSet], resources: Resources, share: float = 1.0
    ) -> None:
        self._sets = sets
        self._batches = [batch for scoring in sets for batch in scoring.batches]
        self._resources = resources
        self._share = share
        self._cache = ActivationCache(self._batches, resources, share)

    def at(self, model: Runnable, *weights: str) -> list[Evaluator]:
        """Make one evaluator per scoring set for one weight or several; all use one session.

        If a value at the cut is no array of NumPy (a sequence, bfloat16), each candidate runs the
        whole model instead.

        Args:
            model: the model with its present weights.
            weights: the names of the weights whose values the evaluators take.

        Raises:
            ModelError: the model cannot be run.
            StorageError: the disk has no room for activations that do not fit into memory.
        """
        model = as_scored(model, self._sets[0].criterion)
        cut = cut_at(model, *weights)
        try:
            crossing = self._cache.crossing(model, cut)
        except ModelError:  # a value at the cut is no array; a broken model fails again below
            # No later cut may start from the tensors that led to the failure.
            self._cache = ActivationCache(self._batches, self._resources, self._share)
            return self.at_whole_model(model, *weights)
        return self._behind(model, cut, crossing)

    def at_whole_model(self, model: Runnable, *weights: str) -> list[Evaluator]:
        """Make the same evaluators as `at`, but each candidate runs the whole model."""
        model = as_scored(model, self._sets[0].criterion)
        return self._behind(model, uncut(model, *weights), [{} for _ in self._batches])

    def _behind(self, model: Runnable, cut: Cut, crossing: Sequence[Arrays]) -> list[Evaluator]:
        """Load the part of the model behind the cut, and make an evaluator for each set."""
        known = BatchTensors(self._batches, crossing)
        session = open_session(
            suffix(model, cut, specs_of(known, cut.suffix_inputs)),
            self._resources,
            f"the model behind {cut.label}",
            unlike=self._sets[0].criterion.unlike,
        )
        run_pool = RunPool(workers_of(self._resources))
        names = [output.name for output in model.graph.output]
        evaluators, start = [], 0
        for scoring in self._sets:
            part = BatchTensors(scoring.batches, crossing, start)
            evaluators.append(
                Evaluator(
                    session, run_pool, cut.dtypes, cut.suffix_inputs, names, part,
                    scoring.batches, scoring.criterion,
                )
            )  # fmt: skip
            start += len(scoring.batches)
        return evaluators
