"""The grids of activations that weights are reconstructed in sight of.

They are calibrated, swept, and with a search they evolve, all while weights are floats. What
evolved may fit float weights alone: of a ResNet-20 with 4-bit weights and activations, the error
was 12 % larger after the reconstruction. So the weights are reconstructed in sight of both, and the
held-out set decides.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnx_evoq.activations import Activations, quantize_activations, swept
from onnx_evoq.evolve import SearchSettings, evolve_formats
from onnx_evoq.model import to_model
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.setup import Task

_SWEEP_PARTS = 8  # each scale of an activation may be tried in one part in so many of the time
_FORMATS_PARTS = 4  # the grids of activations may evolve in one part in so many of the time
_AGAIN_PARTS = 4  # a second reconstruction may take one part in so many of the time


def calibrated(task: Task) -> Activations | None:
    """The activations of a task's model on the grids of least squared error; None for floats."""
    if task.activation_bits is None:
        return None
    return quantize_activations(task, task.activation_bits, task.activation_scale)


def activation_candidates(
    task: Task,
    start: Activations | None,
    settings: SearchSettings | None,
    rng: np.random.Generator,
    scales: Mapping[str, float] | None = None,
) -> list[Activations]:
    """The grids after the sweep, and with a search those that evolved from them, if they differ.

    None if activations stay floats.

    Args:
        task: the float model and its samples.
        start: its calibrated activations; None if they stay floats.
        settings: of the search; None for none.
        rng: draws the moves of the evolution.
        scales: where the grids start, by the first tensor that has the scale; others are
            calibrated.
    """
    if start is None:
        return []
    start = swept(task, start.with_scales(scales or {}), task.deadline.share(_SWEEP_PARTS))
    if settings is None:
        return [start]
    until = task.deadline.share(_FORMATS_PARTS)
    evolved, _ = evolve_formats(
        task, start, start.network, task.activation_scale, rng.spawn(1)[0], until
    )
    return [start] if evolved is start else [start, evolved]


def with_simulated(task: Task, activations: Activations | None) -> Task:
    """The task for the model that simulates quantized activations."""
    return task if activations is None else replace(task, model=to_model(activations.network))


def better_start(
    task: Task,
    candidates: Sequence[Activations],
    build: Callable[[Activations], QuantizedModel],
) -> tuple[Activations, QuantizedModel]:
    """The grids whose reconstruction has the lower fitness on the held-out set, and that.

    Args:
        task: the held-out set, and the time: where one reconstruction takes too much of it, the
            first candidate is taken.
        candidates: the grids.
        build: reconstructs the weights in sight of some.
    """
    began = time.monotonic()
    best, model = candidates[0], build(candidates[0])
    seconds = time.monotonic() - began
    lowest = task.fitness(model.as_float)
    for other in candidates[1:]:
        if seconds > task.deadline.left / _AGAIN_PARTS:
            break
        found = build(other)
        fitness = task.fitness(found.as_float)
        if fitness < lowest:
            best, model, lowest = other, found, fitness
    return best, model
