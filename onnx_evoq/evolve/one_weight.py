"""Evolve the codes of one weight: algorithm 2 of arXiv 2605.05228.

The population is kept after each generation, so that a run goes on from there.
"""

import numpy as np

from onnx_evoq.evolve.kept_visits import Progress, keep_generation, kept_generation
from onnx_evoq.evolve.settings import LayerScores, SearchSettings
from onnx_evoq.progress import Step
from onnx_evoq.quantize import QuantizedWeight, dequantize
from onnx_evoq.record import NO_STEPS, Steps
from onnx_evoq.run import Deadline
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.search import Neuroevolution, mutate


def evolve_weight(
    name: str,
    start: QuantizedWeight,
    pair: list[Evaluator],
    settings: SearchSettings,
    rng: np.random.Generator,
    deadline: Deadline,
    advance: Step,
    scored_before: int = 0,
    steps: Steps = NO_STEPS,
) -> tuple[QuantizedWeight, LayerScores, bool]:
    """Evolve the codes of one weight.

    Args:
        name: the weight.
        start: its codes and grid.
        pair: evaluators of this weight on the search set and on the held-out set.
        settings: how the codes evolve.
        rng: draws the mutations.
        deadline: when to stop.
        advance: advances the progress, by 1 in total.
        scored_before: candidates that were scored for other weights.
        steps: where its generations are kept.

    Returns:
        The best codes, or `start` itself where none are better on the search set and no worse on
        the held-out set; the scores before and after; and whether the search ended in time.
    """
    on_search, on_heldout = pair
    codes, grid = start
    (low, high), rate = grid.limits_for(codes.ndim), settings.rate_for(codes.size)
    search = Neuroevolution(
        codes, settings.population, lambda parent: mutate(parent, rate, low, high, rng)
    )
    race = Race(
        on_search, settings.population, lambda c: {name: dequantize(c, grid)}, settings.doubt
    )
    progress = kept_generation(steps, name, search, race, rng)
    if progress is None:
        candidates = search.ask()
        search.tell(candidates, race.fitness(candidates))
        progress = Progress(search.best_fitness)
    at_start, part = progress.at_start, 1 / (settings.generations + 1)
    value_of, fitness = on_search.metric.value_of, on_search.metric.fitness

    def advanced(amount: float) -> None:
        best, scored = value_of(search.best_fitness), scored_before + on_search.evaluations
        advance(amount, layer=name, best=best, evaluations=scored)

    advanced(part * (1 + progress.done))
    while progress.done < settings.generations and not deadline.passed:
        if progress.without_gain == settings.patience:
            break
        before = search.best_fitness
        candidates = search.ask()
        # The deadline is watched within a generation, too: in a large model a single candidate
        # takes seconds, and a generation takes minutes.
        search.tell(candidates, race.fitness(candidates, stop=lambda: deadline.passed))
        progress.without_gain = 0 if search.best_fitness < before else progress.without_gain + 1
        progress.done += 1
        advanced(part)
        if not deadline.passed:  # else some of the candidates may have no scores
            keep_generation(steps, name, search, race, progress, rng)
    in_time = not deadline.passed
    advanced(1 - (progress.done + 1) * part)

    scores_before = {
        "search": value_of(at_start),
        "heldout": on_heldout.value({name: start.values}),
    }
    unchanged = start, LayerScores(scores_before, scores_before), in_time
    if not search.best_fitness < at_start:
        return unchanged
    best = QuantizedWeight(search.best, grid)
    scores_after = {
        "search": value_of(search.best_fitness),
        "heldout": on_heldout.value({name: best.values}),
    }
    if fitness(scores_after["heldout"]) > fitness(scores_before["heldout"]):
        return unchanged
    return best, LayerScores(scores_before, scores_after), in_time
