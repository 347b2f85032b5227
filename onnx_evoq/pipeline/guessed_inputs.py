"""Fine-tune a model whose inputs are a mere guess: what is fitted must hold for other inputs.

Where nothing says what a model's floats are (sound, say), what is fitted to noise may be nonsense
for real inputs: gates of a recurrence that noise saturates, biases for a scale that never occurs. A
voice detector that was fitted so had an error of .5 of the power at 8 bits, on real speech, and
.0007 with nearest rounding. So a reconstruction for white noise of one scale is tried first. If its
error is not clearly less than that of nearest rounding for each of other inputs (noise of seven
scales, white and as a random walk), all weights have the nearest codes, and nothing is searched.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnx_evoq.model import with_codes
from onnx_evoq.pipeline.fine_tuning import FineTuned, fine_tune, from_nearest, from_reconstruction
from onnx_evoq.pipeline.strategy import Strategy
from onnx_evoq.run import Stopped
from onnx_evoq.setup import MAX_BITS, ScoringSet, Task

_TRIAL_PARTS = 4  # the trial may take one part in so many of the time
_CLEARLY = 0.5  # times the error of nearest rounding
_NOTE = (
    "the inputs are a guess, and what is fitted to them does not hold for inputs that are drawn "
    "otherwise: all weights have the nearest codes; give data, or their range (input_range)."
)


def fine_tune_if_fits_hold(
    task: Task, order: Sequence[str], strategy: Strategy, rng: np.random.Generator
) -> FineTuned:
    """Quantize a model by a strategy, if what is fitted holds for inputs that are drawn otherwise.

    Args:
        task: the model, the widths of its weights, the samples, the deadline and the allowed drop,
            with samples that are drawn in other ways.
        order: names of the weights, least sensitive first.
        strategy: where to start, and how to search.
        rng: draws all random numbers.
    """
    if strategy.init == "nearest" or task.otherwise is None:
        return fine_tune(task, order, strategy, rng)
    trial_rng, rounded_rng = rng.spawn(2)
    within = task.deadline.share(_TRIAL_PARTS)
    others = task.otherwise.sets(within)
    if not others:  # the float model gives no numbers for them
        return fine_tune(task, order, strategy, rng)
    without_limit = replace(task, max_drop_check=None)
    rounded = from_nearest(without_limit, order, None, rounded_rng)
    trial = replace(without_limit, search_set=others[0], heldout_set=others[0], deadline=within)
    tried = from_reconstruction(trial.part("trial"), order, None, trial_rng)
    interrupted = tried.evolved.stopped is Stopped.INTERRUPT
    if not interrupted and _holds(task, others, tried, rounded):
        return fine_tune(task, order, strategy, rng)
    stopped = rounded.evolved.stopped or tried.evolved.stopped
    if task.max_drop_check is not None:
        rounded = _rounded_within_drop(task, order, rounded_rng, interrupted)
    return replace(
        rounded,
        evolved=replace(rounded.evolved, stopped=rounded.evolved.stopped or stopped),
        notes=(*rounded.notes, _NOTE),
        nearest=dict.fromkeys(rounded.nearest, "nearest rounding was better"),
    )


def _rounded_within_drop(
    task: Task, order: Sequence[str], rng: np.random.Generator, interrupted: bool
) -> FineTuned:
    """Nearest rounding within the allowed drop; after an interruption, at 8 bits."""
    if not interrupted:
        return from_nearest(task, order, None, rng)
    wide = replace(task, max_drop_check=None, bits=dict.fromkeys(task.bits, MAX_BITS))
    rounded = from_nearest(wide, order, None, rng)
    return replace(rounded, evolved=replace(rounded.evolved, left_out=tuple(order)))


def _holds(task: Task, others: Sequence[ScoringSet], found: FineTuned, rounded: FineTuned) -> bool:
    """Whether a model is clearly better than nearest rounding for each of the other inputs."""
    mine, nearest = (with_codes(each.model, each.evolved.quantized) for each in (found, rounded))
    return all(
        task.fitness(mine, scoring) <= _CLEARLY * task.fitness(nearest, scoring)
        for scoring in others
    )
