"""From a float model to codes: the start of a strategy, and the search from there.

`from_nearest` follows arXiv 2605.05228, or arXiv 2112.14834 where all weights evolve together.
`from_reconstruction` is this project's own method.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from onnx_evoq.activations import Activations
from onnx_evoq.evolve import (
    Evolved,
    SearchSettings,
    coevolve,
    evolve_layers,
    evolve_within_max_drop,
)
from onnx_evoq.model import Model, Network, Quantized
from onnx_evoq.pipeline.max_drop import narrowest_within_drop
from onnx_evoq.pipeline.placed import calibrated, with_simulated
from onnx_evoq.pipeline.refine import refine
from onnx_evoq.pipeline.start import (
    EvolvedStart,
    Start,
    evolved_start,
    placed_start,
    swept_in_time,
)
from onnx_evoq.pipeline.start_or_nearest import or_nearest, rounded_to_nearest
from onnx_evoq.pipeline.strategy import Strategy
from onnx_evoq.pipeline.why_nearest import asked_for, why_nearest
from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.run import Stopped
from onnx_evoq.setup import MAX_BITS, Task

_ATTEMPT_SHARE = 4  # one attempt at narrower widths may take one part in so many of the time left
_ATTEMPTED_PARTS = 2  # a reconstruction at widths that may drop too much has one in so many
_LEFT_PARTS = 8  # of the time, of which one is left for what follows a reconstruction


@dataclass(frozen=True)
class FineTuned:
    """A quantized model: the codes where the search started, and the codes that it found.

    Attributes:
        model: the float model with the biases that go with the codes.
        evolved: the codes that the search found.
        start_model: the float model with the biases that go with the codes of the start.
        start: the codes of the start; after coevolution within max drop, nearest rounding at the
            widths that were found.
        notes: sentences that a user should read.
        activations: the grids of activations; None if these are floats. Then the models are those
            that simulate them.
        plain: the calibrated activations of the float model as it was given; None for floats.
        nearest: the weights that start from nearest rounding, each with the reason.
    """

    model: Network
    evolved: Evolved
    start_model: Network
    start: Quantized
    notes: tuple[str, ...] = ()
    activations: Activations | None = None
    plain: Activations | None = None
    nearest: Mapping[str, str] = field(default_factory=dict)


def fine_tune(
    task: Task, order: Sequence[str], strategy: Strategy, rng: np.random.Generator
) -> FineTuned:
    """Quantize a model by a strategy.

    Args:
        task: the model, the widths of its weights, the samples, the deadline and the allowed drop.
        order: names of the weights, least sensitive first.
        strategy: where to start, and how to search.
        rng: draws all random numbers.
    """
    start = from_reconstruction if strategy.init == "reconstruct" else from_nearest
    return start(task, order, strategy.settings, rng)


def from_nearest(
    task: Task, order: Sequence[str], settings: SearchSettings | None, rng: np.random.Generator
) -> FineTuned:
    """Round all weights to the nearest, and evolve the codes, layer by layer or together.

    Args:
        task: the model, the widths of its weights, the samples, the deadline and the allowed drop.
        order: names of the weights, least sensitive first; layer by layer, they evolve in this
            order.
        settings: how the codes evolve; None for no search.
        rng: draws all random numbers.
    """
    plain = calibrated(task)
    activations = None if plain is None else swept_in_time(task, plain)
    task = with_simulated(task, activations)
    if settings is not None and settings.together:
        found = _together_from_nearest(task.part("codes"), order, settings, rng)
        return replace(found, activations=activations, plain=plain, nearest=asked_for(task))
    start = rounded_to_nearest(task, task.bits)
    task = replace(task, steps=task.steps.of("codes", start.found))
    names = list(start.quantized)  # in the graph's order, whatever the sensitivity
    generators = dict(zip(names, rng.spawn(len(names)), strict=True))
    in_order = {name: generators[name] for name in order}
    if task.max_drop_check is not None:
        wide = rounded_to_nearest(task, dict.fromkeys(task.bits, MAX_BITS))
        evolved = evolve_within_max_drop(task, wide.quantized, start.quantized, settings, in_order)
    elif settings is None:
        evolved = Evolved(start.quantized, {}, 0, None)
    else:
        evolved = evolve_layers(task, start, settings, in_order)
    return FineTuned(
        start.model, evolved, start.model, start.quantized, activations=activations, plain=plain,
        nearest=asked_for(task),
    )  # fmt: skip


def _together_from_nearest(
    task: Task, order: Sequence[str], settings: SearchSettings, rng: np.random.Generator
) -> FineTuned:
    """Round all weights to the nearest, and evolve all codes together.

    With an allowed drop, widths that drop too much after rounding may still hold after a search.
    So each attempt at narrower widths is a search of its own, in a share of the time left.
    """
    evaluations, attempts = 0, itertools.count(1)

    def build(bits: Mapping[str, Bits], ended: bool) -> tuple[QuantizedModel, bool]:
        nonlocal evaluations
        own = task.part(f"attempt {next(attempts)}")
        start = rounded_to_nearest(task, bits)
        if ended or task.allows(start.as_float):
            return start, ended
        attempt = replace(
            own, bits=bits, max_drop_check=None, deadline=task.deadline.share(_ATTEMPT_SHARE)
        )
        evolved = coevolve(attempt, start, settings, rng)
        evaluations += evolved.evaluations
        interrupted = evolved.stopped is Stopped.INTERRUPT
        return replace(start, quantized=evolved.quantized), interrupted

    narrowest = narrowest_within_drop(order, task.bits, build, task.allows, task.deadline)
    start, bits = narrowest.quantized_model, narrowest.bits
    evolved = Evolved(start.quantized, {}, 0, narrowest.stopped)
    if narrowest.within_max_drop and narrowest.stopped is not Stopped.INTERRUPT:
        evolved = coevolve(replace(task, bits=bits), start, settings, rng)
    evolved = replace(
        evolved,
        evaluations=evolved.evaluations + evaluations,
        stopped=evolved.stopped or narrowest.stopped,
        left_out=narrowest.left_out,
        within_max_drop=narrowest.within_max_drop,
    )
    return FineTuned(start.model, evolved, start.model, rounded_to_nearest(task, bits).quantized)


def from_reconstruction(
    task: Task, order: Sequence[str], settings: SearchSettings | None, rng: np.random.Generator
) -> FineTuned:
    """Reconstruct the model layer by layer, and refine it by the output error of the network.

    Channels are scaled first where that lowers the error of rounding by much.

    Args:
        task: the model, the widths of its weights, the samples, the deadline and the allowed drop.
        order: names of the weights, least sensitive first; has an effect only with an allowed drop.
        settings: how the codes evolve; None for no search.
        rng: draws all random numbers.
    """
    start_rng, refine_rng, formats_rng = rng.spawn(3)
    seed = int(start_rng.integers(2**63))  # the same samples for each attempt at other widths
    plain = calibrated(task)
    placed, cut = placed_start(task, plain, seed)
    attempts = itertools.count(1)
    parts = 1 if settings is None and task.max_drop_check is None else _ATTEMPTED_PARTS
    details, found, interrupted = settings is not None, None, False
    if settings is not None and task.max_drop_check is None:
        began = time.monotonic()
        # No search makes up for a shorter reconstruction, so that it may have most of the time.
        until = task.deadline.earlier(task.deadline.left / _LEFT_PARTS)
        first_start = placed.part("start")
        reconstructed, interrupted = first_start.reconstructed_or_partial(task.bits, seed, until)
        first, seconds = Start(placed, reconstructed), time.monotonic() - began
        if interrupted:
            found = EvolvedStart(first, stopped=Stopped.INTERRUPT)
        else:
            found = evolved_start(
                task.part("formats"), plain, first, seconds, settings.generations, seed, formats_rng
            )
        placed = found.start.placed

    def build(bits: Mapping[str, Bits], ended: bool) -> tuple[QuantizedModel, bool]:
        if found is not None:
            return found.start.model, found.stopped is Stopped.INTERRUPT
        nonlocal interrupted
        if interrupted or ended:  # at widths that drop less, nothing else is quick enough
            rounded = rounded_to_nearest(placed.simulated, bits)
            return replace(rounded, nearest=(), late=frozenset(bits)), True
        until, own = task.deadline.share(parts), placed.part(f"start {next(attempts)}")
        model, interrupted = own.reconstructed_or_partial(bits, seed, until, details=details)
        return model, interrupted

    clips = _notes_on_clips(task.model, placed.task.model)
    given = task if placed.activations is None else placed.simulated
    narrowest = narrowest_within_drop(order, task.bits, build, task.allows, task.deadline)
    start, notes, stopped = or_nearest(
        replace(given, bits=narrowest.bits), narrowest.quantized_model
    )
    stopped = narrowest.stopped or stopped
    if start is narrowest.quantized_model:
        given = placed.simulated
        notes += (*(() if start.cut else cut), *clips)
    model, evolved = start.model, Evolved(start.quantized, {}, 0, stopped)
    if settings is not None and narrowest.within_max_drop and not stopped:
        now = replace(given, bits=narrowest.bits, steps=task.steps)
        model, evolved = refine(now, start, settings, refine_rng)
    evolved = replace(
        evolved, left_out=narrowest.left_out, within_max_drop=narrowest.within_max_drop
    )
    if found is not None:
        evolved = replace(
            evolved,
            evaluations=evolved.evaluations + found.built,
            stopped=evolved.stopped or found.stopped,
        )
    return FineTuned(
        model, evolved, start.model, start.quantized, notes, placed.activations, plain,
        why_nearest(task, start, start is not narrowest.quantized_model),
    )  # fmt: skip


def _notes_on_clips(model: Model, scaled: Model) -> tuple[str, ...]:
    """A note if a scaled model clips channel by channel where the model has a Clip."""
    before, after = (sum(n.op_type == "Clip" for n in each.graph.node) for each in (model, scaled))
    if after >= before:
        return ()
    return (
        f"{before - after} Clip nodes have a limit for each channel now, as Max (or Relu) and Min, "
        "since channels were scaled: a runtime that does not fuse these takes longer.",
    )
