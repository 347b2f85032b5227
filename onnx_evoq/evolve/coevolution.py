"""Evolve the codes of all weights together, by the output error of the network.

1. From nearest rounding, the best rounding of each layer is chosen first (`choose_roundings`).
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

from onnx_evoq.array_types import Array, Arrays, Codes, Float64Array
from onnx_evoq.evolve.network_codes import (
    CodeFitness,
    CodeVector,
    choose_roundings,
    move_costs,
    roundings,
)
from onnx_evoq.evolve.settings import Evolved, LayerScores, SearchSettings
from onnx_evoq.evolve.too_large import too_large, with_others, without
from onnx_evoq.model import with_codes
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.record import set_state, state_of
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.search import Coevolution
from onnx_evoq.setup import Task

_STALLED = 12  # generations without a better context, after which more parts are scored
_CHECK_EVERY = 4  # improvements of the context between two checks on the held-out set
_MOST_REJECTIONS = 4  # checks in a row after which the search ends
_ROUNDINGS, _GENERATION = "roundings", "(generation)"  # steps that are kept
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
    large = too_large(start.quantized, settings, task.memory)
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
            _evolve(search, task, fitness, kept, settings.generations, rng)
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

    @property
    def state(self) -> dict[str, Array]:
        """The codes and their fitness as arrays, by name."""
        both = [list(each.values()) for each in (self._fitness_at_start, self.fitness)]
        return {"kept codes": self.codes, "kept fitness": np.array(both)}

    def set_state(self, state: Arrays, rejections: int) -> None:
        """Go on from a state with the same start."""
        self.codes, self.rejections = np.asarray(state["kept codes"], np.int8), rejections
        self._fitness_at_start, self.fitness = (
            dict(zip(("search", "heldout"), row, strict=True))
            for row in state["kept fitness"].tolist()
        )

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
    chosen = task.steps.load(_ROUNDINGS)
    if chosen is not None:
        fitness.set_state(chosen.arrays, chosen.facts["evaluations"])
        return np.asarray(chosen.arrays["codes"], np.int8)
    others = roundings(task, start)
    if not others:
        return kept.codes
    deadline = task.deadline.share(_ROUNDING_SHARE)

    def score(candidates: Sequence[Codes], turn: int) -> Float64Array | None:
        return None if deadline.passed else fitness.on_parts(candidates, turn, 1)

    codes = choose_roundings(kept.vector, others, score)
    if not fitness.of_one(codes) < kept.fitness["search"]:
        codes = kept.codes
    if not deadline.passed:
        arrays, evaluations = fitness.state
        task.steps.save(_ROUNDINGS, {**arrays, "codes": codes}, evaluations=evaluations)
    return codes


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
    search: Coevolution,
    task: Task,
    fitness: CodeFitness,
    kept: _KeptCodes,
    generations: int,
    rng: np.random.Generator,
) -> None:
    """Run a coevolution until it ends by itself, or by the deadline."""
    last, turns = task.steps.load(_GENERATION), 0
    parts, stalled, improvements = 1, 0, 0
    if last is None:
        context = search.ask()
        search.tell(context, np.array([fitness.of_one(codes) for codes in context]))
    else:
        search.set_state(last.arrays)
        fitness.set_state(last.arrays, last.facts["evaluations"])
        kept.set_state(last.arrays, last.facts["rejections"])
        set_state(rng, last.facts["random"])
        turns, parts, stalled, improvements = last.facts["counts"]
    with task.progress("evolving", generations) as advance:
        if turns:
            advance(turns)
        for turn in range(turns, generations):
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
            if not task.deadline.passed:  # else some of the candidates may have no scores
                arrays, evaluations = fitness.state
                task.steps.save(
                    _GENERATION, {**search.state, **arrays, **kept.state},
                    counts=[turn + 1, parts, stalled, improvements], rejections=kept.rejections,
                    evaluations=evaluations, random=state_of(rng),
                )  # fmt: skip
