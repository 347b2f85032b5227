"""The scoring engine: evaluators for weights of a model, one after the other or several at once."""

from collections.abc import Sequence

from onnx_evoq.array_types import Arrays
from onnx_evoq.engine.activation_cache import ActivationCache, KnownTensors, specs_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Cut, Model, cut_at, suffix, uncut
from onnx_evoq.score import Evaluator, RunPool
from onnx_evoq.setup import Resources, ScoringSet, on_cpu, open_session, workers_of


class Evaluators:
    """Makes evaluators for a model that changes weight by weight.

    What crossed the last cut is remembered. If nothing changed before that cut since, the next
    cut that lies behind it starts from there, so that going through a model in its order costs one
    run of it altogether.

    Args:
        sets: the samples that score.
        resources: what may be used.
        share: of the memory.
    """

    def __init__(
        self, sets: Sequence[ScoringSet], resources: Resources, share: float = 1.0
    ) -> None:
        self._sets = sets
        self._batches = [batch for scoring in sets for batch in scoring.batches]
        self._resources = resources
        self._share = share
        self._cache = ActivationCache(self._batches, resources, share)

    def at(self, model: Model, *weights: str) -> list[Evaluator]:
        """An evaluator per scoring set for one weight of `model` or several, all on one session.

        The graph is cut at the weights, and what crosses the cut is computed once and kept. Where
        that is no tensor that NumPy knows (a sequence, bfloat16), each candidate runs the whole
        model.

        Raises:
            ModelError: the model cannot be run.
            StorageError: the disk has no room for what does not fit into memory.
        """
        cut = cut_at(model, *weights)
        try:
            crossing = self._cache.crossing(model, cut)
        except ModelError:  # no arrays; a broken model fails again below
            self._cache = ActivationCache(self._batches, self._resources, self._share)
            return self.at_whole_model(model, *weights)
        return self._behind(model, cut, crossing)

    def at_whole_model(self, model: Model, *weights: str) -> list[Evaluator]:
        """The same, but each candidate runs the whole model."""
        return self._behind(model, uncut(model, *weights), [{} for _ in self._batches])

    def _behind(self, model: Model, cut: Cut, crossing: Sequence[Arrays]) -> list[Evaluator]:
        known = KnownTensors(self._batches, crossing)
        session = open_session(
            suffix(model, cut, specs_of(known, cut.suffix_inputs)),
            self._resources,
            f"the model behind {cut.label}",
            threads=1 if on_cpu(self._resources) else None,
        )
        run_pool = RunPool(workers_of(self._resources))
        names = [output.name for output in model.graph.output]
        evaluators, start = [], 0
        for scoring in self._sets:
            part = KnownTensors(scoring.batches, crossing, start)
            evaluators.append(
                Evaluator(
                    session, run_pool, cut.dtypes, cut.suffix_inputs, names, part,
                    scoring.batches, scoring.target,
                )
            )  # fmt: skip
            start += len(scoring.batches)
        return evaluators
