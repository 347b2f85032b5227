"""The first quantized model: grids in closed form, and weights reconstructed in sight of them.

1. Channels are scaled where that lowers the error of rounding by much (`equalize_channels`).
2. Activations get the grids of least squared error, or those that the scales were chosen for, and
   each scale is tried once at half and at twice its size by the end of the network (`swept`).
3. The weights are reconstructed.
4. With a search, the grids evolve, each time with a reconstruction of its own (`evolve_formats`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

import numpy as np

from onnx_evoq.activations import Activations, integer_model, swept
from onnx_evoq.errors import ModelError
from onnx_evoq.evolve import GENERATION, POPULATION, Formats, GenomeShape, Scored, evolve_formats
from onnx_evoq.model import Runnable
from onnx_evoq.pipeline.placed import Placed, calibrated
from onnx_evoq.progress import silent
from onnx_evoq.quantize import Scale
from onnx_evoq.reconstruct import (
    ChannelScaling,
    QuantizedModel,
    channel_scaling,
    equalization_seconds,
    equalize_channels,
)
from onnx_evoq.run import Deadline, Stopped, until_interrupted
from onnx_evoq.setup import Task, workers_of

_SWEEP_PARTS = 8  # each scale of an activation may be tried in one part in so many of the time
_EQUALIZATION_PARTS = 3  # channels are scaled if that takes one in so many of the time at most
_FORMATS_PARTS = 2  # formats may evolve in one part in so many of the time
_FEW_BITS = 5  # of activations
_STEPS_PER_OCTAVE: dict[Scale, int] = {"pow2": 1, "float": 4}  # of the scale of an activation
_AT_A_TIME = 2  # candidates that are built, at most
_KEPT = 300  # bytes for each weight, of all candidates that are kept at a time
_SCALING = "channels are scaled"  # a step that is kept
_LEAST_GAIN = 0.05  # share of an error


def swept_in_time(task: Task, activations: Activations) -> Activations:
    """The activations after each scale was tried at half and at twice its size (`swept`)."""
    return swept(task, activations, task.deadline.share(_SWEEP_PARTS))


@dataclass(frozen=True, eq=False)
class Start:
    """A reconstruction, and the model whose weights were reconstructed."""

    placed: Placed
    model: QuantizedModel


def placed_start(
    task: Task, plain: Activations | None, seed: int
) -> tuple[Placed, tuple[str, ...]]:
    """Scale channels and choose the grids of activations; with notes.

    Args:
        task: the task.
        plain: its calibrated activations; None if they stay floats.
        seed: of what is drawn.
    """
    scaled, scales, cut = equalized(task, seed, plain)
    activations = plain if scaled is task else calibrated(scaled)
    if activations is None:
        return Placed(scaled, None), cut
    suiting = activations.with_scales(scales)
    found = swept_in_time(scaled, suiting)
    return Placed(scaled, found, found.factors_from(suiting)), cut


def equalized(
    task: Task, seed: int, activations: Activations | None
) -> tuple[Task, Mapping[str, float], tuple[str, ...]]:
    """The task with scaled channels, where that helps, and time is left for it.

    With it come the scales that suit its activations, by tensor, and notes. Where activations have
    6 bits or more, and not more than the weights, scales gained nothing on a ResNet-20, a ResNet-8
    and a keyword spotter.
    """
    widest, bits = max(np.max(bits) for bits in task.bits.values()), task.activation_bits
    if bits is not None and _FEW_BITS < bits <= widest:
        return task, {}, ()
    begun = task.steps.load(_SCALING) is not None
    if not begun and equalization_seconds(task) > task.deadline.left / _EQUALIZATION_PARTS:
        return task, {}, ("to save time, channels were not scaled before the reconstruction.",)
    task.steps.save(_SCALING)  # that there was time for it
    return *equalize_channels(task, np.random.default_rng(seed), activations), ()


@dataclass(frozen=True, eq=False)
class EvolvedStart:
    """What a search for formats found.

    Attributes:
        start: the best reconstruction.
        built: the number of reconstructions that were tried.
        stopped: why the search ended early; None if it did not.
    """

    start: Start
    built: int = 0
    stopped: Stopped | None = None


def evolved_start(
    task: Task,
    plain: Activations | None,
    start: Start,
    seconds: float,
    generations: int,
    seed: int,
    rng: np.random.Generator,
) -> EvolvedStart:
    """The start, or a better one from grids that evolved.

    The last candidates are judged as they are emitted, on integer kernels.

    Args:
        task: the task with the float model as it was given.
        plain: its calibrated activations; None if they stay floats.
        start: the reconstruction on grids in closed form.
        seconds: that it took.
        generations: of the search, at most.
        seed: of what it drew.
        rng: draws the moves of the search.
    """
    # Each candidate holds activations of its own, which a bound of memory allows one at a time. On
    # a cluster the workers share each candidate.
    bounded = task.resources.memory is not None or task.resources.cluster is not None
    at_a_time = 1 if bounded else _AT_A_TIME
    workers = min(at_a_time, workers_of(task.resources))
    ended = Event()
    deadline = task.deadline.share(_FORMATS_PARTS).unless(ended.is_set)
    generation = POPULATION / workers * (seconds + equalization_seconds(task))
    begun = task.steps.load(GENERATION) is not None
    if generations and deadline.left < generation and not begun:
        return EvolvedStart(start, stopped=Stopped.TIME)
    if _KEPT * sum(weight.values.size for weight in task.weights) > task.memory:
        return EvolvedStart(start)
    best, found = start, None
    with until_interrupted() as interruption:
        # Again, as what the start gathered would have taken memory beside its reconstruction.
        scaling = channel_scaling(task, np.random.default_rng(seed), plain)
        if scaling is not None and scaling.rounded:
            cores = replace(task.resources, workers=workers_of(task.resources) // workers)
            scaling = replace(scaling, task=replace(task, progress=silent, resources=cores))
            shape = GenomeShape(
                tuple(each.whole is None for each in scaling.rounded), len(start.placed.factors)
            )
            first, built = _as_simulated(start), partial(_built, scaling, start, deadline)
            found = evolve_formats(
                first, shape, built, _as_simulated, rng, deadline, generation, workers,
                generations, task.progress, task.heldout_set.criterion.metric.value_of, ended.set,
                task.steps,
            )  # fmt: skip
            best = found.front[0].candidate  # if an interruption comes before what follows
            best = _best_as_emitted(first, found.front)
    if best is not start:
        own = replace(
            best.placed.task, progress=task.progress, resources=task.resources, steps=task.steps
        )
        best = replace(best, placed=replace(best.placed, task=own))
    if found is None:
        return EvolvedStart(best, stopped=interruption.reason)
    return EvolvedStart(best, found.built, interruption.reason or found.stopped)


def _built(scaling: ChannelScaling, start: Start, deadline: Deadline, formats: Formats) -> Start:
    """The reconstruction for some formats."""
    try:
        placed = _placed(scaling, formats, start.placed.factors)
    except ModelError:  # activations of very unlike channels are too wild for integers
        return start
    placed = replace(placed, task=placed.task.part(formats.name))
    return Start(placed, placed.reconstructed(scaling.task.bits, formats.seed, deadline))


def _best_as_emitted(first: Scored[Start], front: Sequence[Scored[Start]]) -> Start:
    """The first, or the best of others if it is clearly better: some of what was found is luck."""
    others = [scored for scored in front if scored.candidate is not first.candidate]
    if not others:
        return first.candidate
    first, best = _as_emitted(first), min(map(_as_emitted, others), key=lambda each: each.error)
    # Of a metric that rises, the error is negative, and a share of it says nothing.
    least = first.error * (1 - _LEAST_GAIN) if first.error > 0 else first.error
    return best.candidate if best.error < least else first.candidate


def _placed(scaling: ChannelScaling, formats: Formats, factors: Mapping[str, float]) -> Placed:
    """The scaled model and its activations for some formats."""
    found = scaling.scaled(formats.importances, formats.share)
    task, scales, _ = (scaling.task, {}, 1.0) if found is None else found
    activations = calibrated(task)
    if activations is not None:
        octave = 1.0 / _STEPS_PER_OCTAVE[task.activation_scale]
        factors = {
            name: factor * 2.0 ** (octave * int(moves))
            for (name, factor), moves in zip(factors.items(), formats.moves, strict=True)
        }
        activations = _moved(activations.with_scales(scales), factors)
    return Placed(task, activations, factors)


def _moved(activations: Activations, factors: Mapping[str, float]) -> Activations:
    """The activations with each scale times its factor."""
    moved = {n: f for n, f in factors.items() if f != 1 and n in activations.grids}
    scales = {name: factor * activations.grids[name].scale for name, factor in moved.items()}
    return activations.with_grids({n: activations.at_scale(n, s) for n, s in scales.items()})


def _as_simulated(start: Start) -> Scored[Start]:
    """A start with the errors of the model that simulates its activations."""
    return _scored(start, start.model.as_float)


def _as_emitted(scored: Scored[Start]) -> Scored[Start]:
    """The same with the errors of what runtimes compute."""
    activations, found = scored.candidate.placed.activations, scored.candidate.model
    if activations is None:
        return scored
    return _scored(scored.candidate, integer_model(activations, found.model, found.quantized))


def _scored(start: Start, model: Runnable) -> Scored[Start]:
    task = start.placed.task
    return Scored(start, task.fitness(model, task.search_set), task.fitness(model))
