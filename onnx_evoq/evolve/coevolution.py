"""Evolve the codes of all weights together, by the output error of the network.

1. From nearest rounding, the best rounding of each layer is chosen first (`rounding_choice`).
2. Then groups of the least certain codes evolve (`search.Coevolution`, `move_costs`). The
   candidates of a generation are scored on one part of the search set (a batch, or several small
   ones), another part in each generation. The networks that may become the new context are scored
   on the whole search set. So the samples that select the moves do not accept them, and the context
   never gets worse on the search set.
3. After several generations without a better context, candidates are scored on twice as many
   parts. The search ends when all parts do not help either.
4. After every few improvements, the context is scored on the held-out set. It is kept if it is no
   worse there than the codes kept before, and if it stays within the allowed drop, where there is
   one. The search ends after several contexts in a row that were not kept.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array
from onnx_evoq.evolve.code_fitness import CodeFitness
from onnx_evoq.evolve.code_vector import CodeVector
from onnx_evoq.evolve.move_costs import move_costs
from onnx_evoq.evolve.rounding_choice import choose_roundings, roundings
from onnx_evoq.evolve.settings import Evolved, LayerScores, SearchSettings
from onnx_evoq.evolve.too_large import too_large, with_others, without
from onnx_evoq.model import with_codes
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.search import Coevolution
from onnx_evoq.setup import Task, cache_memory

_STALLED = 12  # generations without a better context, after which more parts are scored
_CHECK_EVERY = 4  # improvements of the context between two checks on the held-out set
_MOST_REJECTIONS = 4  # checks in a row after which the search ends
_ROUNDING_SHARE = 4  # the choice of roundings may take one part in so many of the time left


def coevolve(
    task: Task, start: QuantizedModel, settings: SearchSettings, rng: np.random.Generator
) -> Evolved:
    """Evolve the codes of all weights together.

    Args:
        task: the samples, the deadline and the allowed drop.
        start: the codes to start from, and the model with the biases that go with them.
        settings: how the codes evolve; the mutation rate is the share of all codes that the first
            group has.
        rng: draws candidates.
    """
    if not task.has_time_for_a_run:
        return Evolved(start.quantized, {}, 0, Stopped.TIME)
    large = too_large(start.quantized, settings, cache_memory(task.resources))
    some = without(start, large)
    if not some.quantized:
        return Evolved(start.quantized, {}, 0, None, too_large=tuple(large))
    return with_others(_together(task, some, settings, rng), start, large)


def _together(
    task: Task, start: QuantizedModel, settings: SearchSettings, rng: np.random.Generator
) -> Evolved:
    """Evolve the codes of all weights of the start together."""
    fitness = CodeFitness(task, start, settings.doubt)
    kept = _KeptCodes(task, start, fitness)
    stopped = None
    with until_interrupted() as interruption:
        kept.score_start()
        if settings.generations:
            codes = _with_best_roundings(task, start, fitness, kept)
            search = _search_from(codes, task, start, settings, rng)
            _evolve(search, task, fitness, kept, settings.generations)
            kept.check(search)
            stopped = Stopped.TIME if task.deadline.passed else None
    return Evolved(
        kept.vector.quantized(kept.codes), kept.layer_scores(), fitness.evaluations,
        interruption.reason or stopped,
    )  # fmt: skip


class _KeptCodes:
    """The best codes on the held-out set that stay within the allowed drop.

    Attributes:
        vector: the start.
        codes: (codes,) the codes that are kept.
        fitness: their fitness, {"search": value, "heldout": value}; empty before the start is
            scored.
        rejections: checks in a row that did not change the codes.
    """

    def __init__(self, task: Task, start: QuantizedModel, scorer: CodeFitness) -> None:
        self._task, self._model, self._scorer = task, start.model, scorer
        self.vector = CodeVector(start.quantized)
        self.codes = self.vector.codes
        self.fitness = self._fitness_at_start = dict[str, float]()
        self.rejections = 0

    def score_start(self) -> None:
        """Score the codes of the start on both sets."""
        on_search, on_heldout = self._scorer.of_one, self._scorer.on_heldout_set
        self.fitness = {"search": on_search(self.codes), "heldout": on_heldout(self.codes)}
        self._fitness_at_start = self.fitness

    def check(self, search: Coevolution) -> None:
        """Keep the context if it is no worse on the held-out set, and within the allowed drop."""
        if not search.best_fitness < self.fitness["search"]:
            return
        heldout = self._scorer.on_heldout_set(search.best)
        model = with_codes(self._model, self.vector.quantized(search.best))
        if heldout <= self.fitness["heldout"] and self._task.allows(model):
            self.codes, self.rejections = search.best.copy(), 0
            self.fitness = {"search": search.best_fitness, "heldout": heldout}
        else:
            self.rejections += 1

    def layer_scores(self) -> dict[str, LayerScores]:
        """The scores of the whole network by weight, the same for all; none without a start."""
        if not self.fitness:
            return {}
        before, after = (
            {part: self._scorer.metric.value_of(value) for part, value in fitness.items()}
            for fitness in (self._fitness_at_start, self.fitness)
        )
        return dict.fromkeys(self.vector.weights, LayerScores(before, after))


def _with_best_roundings(
    task: Task, start: QuantizedModel, fitness: CodeFitness, kept: _KeptCodes
) -> Codes:
    """Choose a rounding for each layer; the codes of the start, if they are no worse."""
    others = roundings(task, start)
    if not others:
        return kept.codes
    deadline = task.deadline.share(_ROUNDING_SHARE)

    def score(candidates: Sequence[Codes], turn: int) -> Float64Array | None:
        return None if deadline.passed else fitness.on_parts(candidates, turn, 1)

    codes = choose_roundings(kept.vector, others, score)
    return codes if fitness.of_one(codes) < kept.fitness["search"] else kept.codes


def _search_from(
    codes: Codes,
    task: Task,
    start: QuantizedModel,
    settings: SearchSettings,
    rng: np.random.Generator,
) -> Coevolution:
    """Start a coevolution from the codes of a network, (codes,)."""
    now = CodeVector(CodeVector(start.quantized).quantized(codes))
    group = max(1, round(settings.rate_for(codes.size) * codes.size))
    return Coevolution(
        codes, *now.limits, *move_costs(task, start, now), settings.population, group, rng
    )


def _evolve(
    search: Coevolution, task: Task, fitness: CodeFitness, kept: _KeptCodes, generations: int
) -> None:
    """Run a coevolution until it ends by itself, or by the deadline."""
    context = search.ask()
    search.tell(context, np.array([fitness.of_one(codes) for codes in context]))
    parts, stalled, improvements = 1, 0, 0
    with task.progress("evolving", generations) as advance:
        for turn in range(generations):
            candidates = search.ask()
            on_parts = fitness.on_parts(candidates, turn, parts)
            if on_parts is None:  # out of time
                break
            search.tell(candidates, on_parts)
            before = search.best_fitness
            contexts = search.ask()
            search.tell(contexts, fitness.on_search_set(contexts))
            if search.best_fitness < before:
                stalled, improvements = 0, improvements + 1
                if improvements % _CHECK_EVERY == 0:
                    kept.check(search)
            else:
                stalled += 1
            best = fitness.metric.value_of(search.best_fitness)
            advance(1, best=best, evaluations=fitness.evaluations)
            if kept.rejections == _MOST_REJECTIONS:
                break
            if stalled == _STALLED:
                if parts >= fitness.parts:
                    break
                parts, stalled = 2 * parts, 0
