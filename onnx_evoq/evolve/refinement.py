"""Evolve reconstructed codes, steered by the end of the network.

1. Layers are taken in the graph's order, pass by pass while time is left: what the first layers
   spoil reaches all others. A pass takes only layers that gained in the one before, and none is
   made once a pass gains next to nothing.
2. Children of a weight's codes differ from their parents in a few moves by +-1, drawn by what they
   cost the layer's own output as it was reconstructed; the search set selects among them.
3. A layer's result is kept if the held-out set's fitness is no worse for it, and a guard, where
   there is one, holds.
"""

import numpy as np

from onnx_evoq.engine import Evaluators
from onnx_evoq.evolve.layerwise import Evolved, LayerScores, SearchSettings
from onnx_evoq.metrics import Metric
from onnx_evoq.model import with_codes
from onnx_evoq.quantize import QuantizedWeight, Reconstruction, dequantize
from onnx_evoq.reconstruct import Reconstructed
from onnx_evoq.run import Deadline
from onnx_evoq.score import Evaluator, Race
from onnx_evoq.search import Neuroevolution, mutate, mutate_by_cost
from onnx_evoq.setup import Task

_STILL = 16  # generations without a better one after which a layer is left
_GAIN = 2e-3  # share of the fitness that a pass must gain for another one
_PASSES = 8


def refine_layers(
    task: Task,
    start: Reconstructed,
    settings: SearchSettings,
    rng: np.random.Generator,
    by_cost: bool = True,
) -> Evolved:
    """Evolve the codes of all weights.

    Args:
        task: what there is to do.
        start: the codes, the biases that go with them, and what moves cost.
        settings: how to evolve one weight in a pass.
        rng: draws children.
        by_cost: whether moves are drawn by their cost instead of evenly.
    """
    model, deadline = start.model, task.deadline
    now, layers = dict(start.quantized), dict[str, LayerScores]()
    evaluations, stopped = 0, None
    evaluators = Evaluators([task.search_set, task.heldout_set], task.resources)
    metric = task.search_set.target.metric
    names = list(now)
    try:
        for turn in range(_PASSES):
            gainers, first, last = [], float("nan"), float("nan")
            with task.progress(f"evolving {turn + 1}", len(names)) as advance:
                for index, name in enumerate(names):
                    if deadline.passed:
                        stopped = "time"
                        break
                    on_search, on_heldout = evaluators.at(with_codes(model, now), name)
                    best, scores, in_time = _refine_one(
                        name,
                        now[name],
                        start.layers.get(name),
                        settings,
                        by_cost,
                        on_search,
                        on_heldout,
                        metric,
                        rng,
                        deadline.share(len(names) - index),
                    )
                    evaluations += on_search.evaluations + on_heldout.evaluations
                    stopped = stopped if in_time else "time"
                    trial = {**now, name: best}
                    kept = best is not now[name] and task.allows(with_codes(model, trial))
                    if kept:
                        now = trial
                        gainers.append(name)
                        before = layers[name].before if name in layers else scores.before
                        layers[name] = LayerScores(before, scores.after)
                    elif name not in layers:
                        layers[name] = LayerScores(scores.before, scores.before)
                    first = metric.fitness(scores.before["search"]) if np.isnan(first) else first
                    last = metric.fitness((scores.after if kept else scores.before)["search"])
                    advance(1)
            if not gainers or not first - last > _GAIN * abs(first):
                break
            if deadline.passed:
                stopped = "time"
                break
            names = gainers
    except KeyboardInterrupt:  # what was found by then is worth keeping
        stopped = "interrupt"
    return Evolved(now, layers, evaluations, stopped)


def _refine_one(
    name: str,
    start: QuantizedWeight,
    found: Reconstruction | None,
    settings: SearchSettings,
    by_cost: bool,
    on_search: Evaluator,
    on_heldout: Evaluator,
    metric: Metric,
    rng: np.random.Generator,
    deadline: Deadline,
) -> tuple[QuantizedWeight, LayerScores, bool]:
    """The weight that stays, its scores, and whether the search was done in time.

    The weight is `start` itself if nothing better was found.
    """
    codes, grid = start
    rate = settings.rate_for(codes.size)
    moves = max(1.0, rate * codes.size)
    low, high = grid.limits_for(codes.ndim)

    def child_of(parent: np.ndarray) -> np.ndarray:
        if found is None or not by_cost:
            return mutate(parent, rate, low, high, rng)
        up = np.where(parent < high, found.up, np.inf)
        down = np.where(parent > low, found.down, np.inf)
        return mutate_by_cost(parent, up, down, moves, rng)

    search = Neuroevolution(codes, settings.population, child_of)
    race = Race(
        on_search, settings.population, lambda c: {name: dequantize(c, grid)}, settings.doubt
    )
    search.tell(race.fitness(search.ask()))
    first = best = search.best_fitness
    still, done = 0, 0
    while done < settings.generations and still < _STILL and not deadline.passed:
        search.tell(race.fitness(search.ask(), stop=lambda: deadline.passed))
        still = 0 if search.best_fitness < best else still + 1
        best, done = search.best_fitness, done + 1
    in_time = not deadline.passed
    before = {
        "search": metric.value_of(first),
        "heldout": on_heldout.value({name: dequantize(codes, grid)}),
    }
    if not best < first:
        return start, LayerScores(before, before), in_time
    after = {
        "search": metric.value_of(best),
        "heldout": on_heldout.value({name: dequantize(search.best, grid)}),
    }
    if metric.fitness(after["heldout"]) > metric.fitness(before["heldout"]):
        return start, LayerScores(before, before), in_time
    return QuantizedWeight(search.best, grid), LayerScores(before, after), in_time
