"""Make evaluators, which score other values of some weights of a model."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from onnx_evoq.array_types import Arrays
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.cuts import BatchTensors, specs_of
from onnx_evoq.engine.workers_evaluators import OnWorkers
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Cut, Runnable, cut_at, suffix, uncut
from onnx_evoq.score import Evaluator, ModelPart, RunPool
from onnx_evoq.setup import (
    Resources,
    ScoringSet,
    as_scored,
    executor_of,
    open_session,
    workers_of,
)


class Evaluators:
    """Makes evaluators for a model whose weights change one by one.

    The model is cut at the weights; the part before the cut is run once (`ActivationCache`), the
    part behind it once per candidate. On a cluster, its workers do so (`OnWorkers`); but a metric
    of the user takes the outputs of all samples, and is computed here.

    Args:
        sets: the scoring sets.
        resources: what the runs may use.
        share: share of the memory that the activation cache may use.
    """

    def __init__(
        self, sets: Sequence[ScoringSet], resources: Resources, share: float = 1.0
    ) -> None:
        self._sets = sets
        self._resources = resources
        self._share = share
        self._passed: deque[tuple[Runnable, tuple[str, ...]]] = deque()
        self._begin()

    def restart(self) -> None:
        """Forget the activations: the next cut is computed from the inputs."""
        self._passed.clear()
        self._begin()

    def passes(self, model: Runnable, *weights: str) -> None:
        """Go past a cut as `at` would, without evaluators.

        What must be run for that is only run when evaluators are asked for. ONNX Runtime adds up in
        an order that depends on where a model is cut. So the tensors at a later cut are the same to
        the bit as if evaluators had been made for this one.
        """
        self._passed.append((model, weights))

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
        while self._passed:
            passed, of_cut = self._passed.popleft()
            passed = as_scored(passed, self._sets[0].criterion)
            with suppress(ModelError):  # as where it was first tried
                self._place.crossing(passed, cut_at(passed, *of_cut))
        model = as_scored(model, self._sets[0].criterion)
        cut = cut_at(model, *weights)
        try:
            crossing = self._place.crossing(model, cut)
        except ModelError:  # a value at the cut is no array; a broken model fails again below
            return self.at_whole_model(model, *weights)
        return self._place.behind(model, cut, crossing)

    def at_whole_model(self, model: Runnable, *weights: str) -> list[Evaluator]:
        """Make the same evaluators as `at`, but each candidate runs the whole model."""
        model = as_scored(model, self._sets[0].criterion)
        cut = uncut(model, *weights)
        return self._place.behind(model, cut, self._place.crossing(model, cut))

    def _begin(self) -> None:
        executor = executor_of(self._resources)
        by_user = any(scoring.criterion.metric.against == "user" for scoring in self._sets)
        self._place: _Place
        if executor.near is executor or by_user:
            self._place = _Here(self._sets, self._resources, self._share)
        else:
            self._place = OnWorkers(self._sets, self._resources, self._share, executor)


class _Place(Protocol):
    """Where the runs are made."""

    def crossing(self, model: Runnable, cut: Cut) -> Any:
        """Compute the tensors that cross a cut."""
        ...

    def behind(self, model: Runnable, cut: Cut, crossing: Any) -> list[Evaluator]:
        """Make an evaluator for each set, of the part of the model behind the cut."""
        ...


class _Here:
    """Makes evaluators that run in this process.

    The arguments are those of `Evaluators`.
    """

    def __init__(self, sets: Sequence[ScoringSet], resources: Resources, share: float) -> None:
        self._sets, self._resources = sets, resources
        self._batches = [batch for scoring in sets for batch in scoring.batches]
        self._cache = ActivationCache(self._batches, resources, share)

    def crossing(self, model: Runnable, cut: Cut) -> Sequence[Arrays]:
        """The tensors that cross a cut, for each batch."""
        return self._cache.crossing(model, cut)

    def behind(self, model: Runnable, cut: Cut, crossing: Sequence[Arrays]) -> list[Evaluator]:
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
            tensors = BatchTensors(scoring.batches, crossing, start)
            part = ModelPart(
                session, cut.dtypes, cut.suffix_inputs, names, tensors,
                scoring.batches, scoring.criterion,
            )  # fmt: skip
            evaluators.append(Evaluator(part, run_pool, scoring.batches, scoring.criterion))
            start += len(scoring.batches)
        return evaluators
