"""Evolve the codes of all weights together, steered by the end of the network.

1. From nearest rounding, the network is first put together from several roundings of its layers
   (`assembly`).
2. Then groups of the least certain codes evolve (`search.coevolution`, `confidence`). Candidates
   are drawn for a batch of the search set, another one each time; what could follow the context
   races over all of it. So what selects moves is not what accepts them, and the context never gets
   worse on the search set.
3. Where nothing was accepted for a while, candidates are scored on twice as many samples; once
   that does not help with all of them, either, the search is over.
4. Every few times that the context moved, the held-out set is asked. The codes that were best there
   are kept, provided that a guard, where there is one, holds; if it gets worse several times in a
   row, the search is over, too.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array
from onnx_evoq.engine import Evaluators
from onnx_evoq.evolve.code_vector import CodeVector
from onnx_evoq.evolve.move_costs import move_costs
from onnx_evoq.evolve.rounding_choice import choose_roundings, roundings
from onnx_evoq.evolve.settings import Evolved, LayerScores, SearchSettings
from onnx_evoq.metrics import Metric
from onnx_evoq.model import with_codes
from onnx_evoq.reconstruct import Reconstructed
from onnx_evoq.run import Stopped, until_interrupted
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.search import Coevolution
from onnx_evoq.setup import Task

_STILL = 12  # generations without a better one after which more samples are taken
_ASKED = 4  # moves of the context after which the held-out set is asked
_WORSE = 4  # times that it may get worse
_TO_ASSEMBLE = 4  # the share of the time, one in so many


def coevolve(
    task: Task, start: Reconstructed, settings: SearchSettings, rng: np.random.Generator
) -> Evolved:
    """Evolve the codes of all weights.

    Args:
        task: what there is to do.
        start: the codes, the biases that go with them, and what moves cost.
        settings: how to evolve; its mutation rate is the share of all codes in the first group.
        rng: draws candidates.
    """
    if task.deadline.passed:
        return Evolved(start.quantized, {}, 0, Stopped.TIME)
    run = _Run(task, start, settings)
    stopped = None
    with until_interrupted() as interruption:
        stopped = run.search(rng)
    return run.evolved(interruption.reason or stopped)


class _Run:
    """One search: the evaluators, and the codes that are kept."""

    def __init__(self, task: Task, start: Reconstructed, settings: SearchSettings) -> None:
        self._task, self._start, self._settings = task, start, settings
        self._vector = CodeVector(start.quantized)
        evaluators = Evaluators([task.search_set, task.heldout_set], task.resources)
        self._on_search, self._on_heldout = evaluators.at(start.emitted, *start.quantized)
        self._race = Race(self._on_search, 1, self._vector.values, settings.doubt)
        self._metric: Metric = task.search_set.target.metric
        self._kept = self._vector.codes
        self._first: dict[str, float] | None = None  # the fitness of the start on both sets
        self._last: dict[str, float] = {}  # of what is kept
        self._worse = 0
        self._evaluations = 0  # that the evaluators do not count, as they begin at a later batch

    def search(self, rng: np.random.Generator) -> Stopped | None:
        """Search until it is over; why it ended early, else None."""
        task, settings = self._task, self._settings
        at_start = self._vector.codes
        fitness = float(self._race.fitness([at_start])[0])
        self._first = self._last = {"search": fitness, "heldout": self._heldout(at_start)}
        if not settings.generations:
            return None
        codes = self._assembled()
        now = CodeVector(self._vector.quantized(codes))
        search = Coevolution(
            codes, *now.limits, *move_costs(task, self._start, now), settings.population,
            max(1, round(settings.rate_for(codes.size) * codes.size)), rng,
        )  # fmt: skip
        started = search.ask()
        search.tell(started, self._race.fitness(started))
        span, still, moved = 1, 0, 0
        with task.progress("evolving", settings.generations) as advance:
            for turn in range(settings.generations):
                if task.deadline.passed:
                    break
                drawn = search.ask()
                fitness_of_drawn = self._scored(drawn, turn, span)
                if fitness_of_drawn is None:
                    break
                search.tell(drawn, fitness_of_drawn)
                before, trials = search.best_fitness, search.ask()
                search.tell(trials, self._race.fitness(trials, stop=lambda: task.deadline.passed))
                better = search.best_fitness < before
                moved, still = moved + better, 0 if better else still + 1
                if better and moved % _ASKED == 0:
                    self._ask_heldout(search)
                advance(1)
                if self._worse == _WORSE:
                    break
                if still == _STILL:
                    if span >= len(self._on_search.counts):
                        break
                    span, still = 2 * span, 0
        self._ask_heldout(search)
        return Stopped.TIME if task.deadline.passed else None

    def evolved(self, stopped: Stopped | None) -> Evolved:
        """What came out."""
        scores = {}
        if self._first is not None:
            before, after = (
                {part: self._metric.value_of(fitness) for part, fitness in each.items()}
                for each in (self._first, self._last)
            )
            scores = dict.fromkeys(self._start.quantized, LayerScores(before, after))
        self._evaluations += self._on_search.evaluations + self._on_heldout.evaluations
        return Evolved(self._vector.quantized(self._kept), scores, self._evaluations, stopped)

    def _assembled(self) -> Codes:
        """The start, or other roundings if they are better on the search set."""
        others = roundings(self._task, self._start)
        if not others:
            return self._kept
        due = self._task.deadline.share(_TO_ASSEMBLE)

        def scored(candidates: Sequence[Codes], turn: int) -> Float64Array | None:
            return None if due.passed else self._scored(candidates, turn, 1)

        found = choose_roundings(self._vector, others, scored)
        fitness = float(self._race.fitness([found])[0])
        return found if fitness < self._last["search"] else self._kept

    def _scored(self, candidates: Sequence[Codes], turn: int, span: int) -> Float64Array | None:
        """Fitness on `span` batches, others each turn, (candidates,); None if time ran out."""
        if self._metric.against == "user":  # needs all outputs at once
            found = []
            for codes in candidates:
                if self._task.deadline.passed:
                    return None
                found.append(self._value(self._on_search, codes))
            return np.array(found)
        batches = len(self._on_search.counts)
        first = min(turn * span % batches, max(batches - span, 0))
        losses = self._on_search.losses(
            candidates, self._vector.values, first, min(first + span, batches),
            lambda: self._task.deadline.passed,
        )  # fmt: skip
        self._evaluations += 0 if first == 0 else sum(each is not None for each in losses)
        means = [self._metric.fitness(float(each.mean())) for each in losses if each is not None]
        return np.array(means) if len(means) == len(candidates) else None

    def _heldout(self, codes: Codes) -> float:
        return self._value(self._on_heldout, codes)

    def _value(self, evaluator: Evaluator, codes: Codes) -> float:
        return self._metric.fitness(evaluator.value(self._vector.values(codes)))

    def _ask_heldout(self, search: Coevolution) -> None:
        """Keep the context if the held-out set and the guard agree."""
        if not search.best_fitness < self._last["search"]:
            return
        heldout = self._heldout(search.best)
        model = with_codes(self._start.model, self._vector.quantized(search.best))
        if heldout <= self._last["heldout"] and self._task.allows(model):
            self._kept, self._worse = search.best.copy(), 0
            self._last = {"search": search.best_fitness, "heldout": heldout}
        else:
            self._worse += 1
