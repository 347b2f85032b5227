"""From a float model to codes: a start, and the search from there.

`from_nearest` is the way of arXiv 2605.05228, or with all weights together that of 2112.14834;
`from_reconstruction` is this project's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from onnx_evoq.evolve import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
    Evolved,
    SearchSettings,
    coevolve,
    evolve_layers,
    evolve_within_max_drop,
)
from onnx_evoq.model import Model, Quantized, with_codes
from onnx_evoq.pipeline.max_drop import WithinMaxDrop, narrowest_within_drop
from onnx_evoq.pipeline.refine import refine
from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct import Reconstructed, reconstruct_layers
from onnx_evoq.run import Stopped
from onnx_evoq.setup import MAX_BITS, Task, check_choices, nearest_of

_ATTEMPT = 4  # the share of the time left that an attempt may take, one in so many


StrategyName = Literal["neuroevolution", "coevolution", "none"]

_SETTINGS = {
    ("neuroevolution", "reconstruct"): FROM_RECONSTRUCTION,
    ("neuroevolution", "nearest"): FROM_NEAREST,
    ("coevolution", "reconstruct"): TOGETHER_FROM_RECONSTRUCTION,
    ("coevolution", "nearest"): TOGETHER_FROM_NEAREST,
}


@dataclass(frozen=True)
class Strategy:
    """How codes are searched, and where the search starts.

    Attributes:
        name: "neuroevolution", layer by layer; "coevolution" of all weights together, those first
            whose codes are least certain; or "none" for the start alone.
        init: where the search starts: "reconstruct" for codes that keep the output of each layer,
            in closed form, or "nearest" rounding, as in arXiv 2605.05228.
        population: candidates that stay after each generation; None for 4 from a reconstruction and
            32 from nearest rounding. In coevolution, candidates that are drawn at a time, 32.
        generations: generations per weight, and pass; None for 64. In coevolution, groups of
            weights that are searched, 1024 at most.
        mutation_rate: probability that a code moves; None for about 3 codes of a weight from a
            reconstruction, and 0.02 from nearest rounding. In coevolution, the share of all codes
            in the first group, 0.002 and 0.05.

    Raises:
        OptionError: a choice is unknown, or a number makes no sense.

    Example:
        >>> Strategy("coevolution", init="nearest", generations=100).searches
        True
    """

    name: StrategyName = "neuroevolution"
    init: Literal["reconstruct", "nearest"] = "reconstruct"
    population: int | None = None
    generations: int | None = None
    mutation_rate: float | None = None

    def __post_init__(self) -> None:
        check_choices(
            strategy=(self.name, ("neuroevolution", "coevolution", "none")),
            init=(self.init, ("reconstruct", "nearest")),
        )
        self._chosen()

    @property
    def searches(self) -> bool:
        """Whether codes evolve at all."""
        return self.name != "none"

    @property
    def settings(self) -> SearchSettings | None:
        """How codes evolve; None for the start alone."""
        return self._chosen() if self.searches else None

    def _chosen(self) -> SearchSettings:
        name = self.name if self.searches else "neuroevolution"
        usual = _SETTINGS[name, self.init]
        return replace(
            usual,
            population=usual.population if self.population is None else self.population,
            generations=usual.generations if self.generations is None else self.generations,
            mutation_rate=(
                usual.mutation_rate if self.mutation_rate is None else self.mutation_rate
            ),
        )


DEFAULT_STRATEGY = Strategy()


def fine_tune(
    task: Task, order: Sequence[str], strategy: Strategy, rng: np.random.Generator
) -> "FineTuned":
    """Quantize a model by a strategy: its start, and the search from there.

    Args:
        task: what there is to do.
        order: names of the weights, least sensitive first.
        strategy: where to start, and how to search.
        rng: draws all that is random.
    """
    start = from_reconstruction if strategy.init == "reconstruct" else from_nearest
    return start(task, order, strategy.settings, rng)


@dataclass(frozen=True)
class FineTuned:
    """What a search found.

    Attributes:
        model: the float model with the biases that go with the codes.
        evolved: the codes.
        start_model: the same of where the search started.
        start: the codes there.
        notes: sentences that a user should read.
    """

    model: Model
    evolved: Evolved
    start_model: Model
    start: Quantized
    notes: tuple[str, ...] = ()


def from_nearest(
    task: Task,
    order: Sequence[str],
    settings: SearchSettings | None,
    rng: np.random.Generator,
) -> FineTuned:
    """Round to the nearest, and evolve weight by weight, or all weights together.

    Args:
        task: what there is to do.
        order: names of the weights, least sensitive first.
        settings: how to evolve; None emits the start.
        rng: draws mutations.
    """
    if settings is not None and settings.together:
        return _together(task, order, settings, rng)
    start = nearest_of(task.weights, task.bits, task.granularity, task.scale)
    drawn = dict(zip(start, rng.spawn(len(start)), strict=True))
    draws = {name: drawn[name] for name in order}
    if task.max_drop_check is not None:
        safe = dict.fromkeys(task.bits, MAX_BITS)
        rest = nearest_of(task.weights, safe, task.granularity, task.scale)
        evolved = evolve_within_max_drop(task, rest, start, settings, draws)
    elif settings is None:
        evolved = Evolved(dict(start), {}, 0, None)
    else:
        evolved = evolve_layers(task, _rounded(task, task.bits), settings, draws)
    return FineTuned(task.model, evolved, task.model, start)


def _rounded(task: Task, bits: Mapping[str, Bits]) -> Reconstructed:
    """All weights rounded to the nearest."""
    start = nearest_of(task.weights, bits, task.granularity, task.scale)
    return Reconstructed(task.model, start, {}, tuple(start))


def _together(
    task: Task, order: Sequence[str], settings: SearchSettings, rng: np.random.Generator
) -> FineTuned:
    """Round to the nearest, and evolve all weights together.

    Under a guard, each attempt to have fewer weights at 8 bits is a search of its own, which takes
    a share of the time, unless rounding alone holds.
    """
    evaluations = 0

    def build(bits: Mapping[str, Bits]) -> Reconstructed:
        nonlocal evaluations
        start = _rounded(task, bits)
        if task.allows(start.emitted):
            return start
        due = task.deadline.share(_ATTEMPT)
        tried = replace(task, bits=bits, max_drop_check=None, deadline=due)
        evolved = coevolve(tried, start, settings, rng)
        evaluations += evolved.evaluations
        if evolved.stopped is Stopped.INTERRUPT:
            raise KeyboardInterrupt
        return replace(start, quantized=evolved.quantized)

    if task.max_drop_check is None:
        allowed = WithinMaxDrop(_rounded(task, task.bits), dict(task.bits), (), True)
    else:
        allowed = narrowest_within_drop(order, task.bits, build, task.max_drop_check, task.deadline)
        task = replace(task, bits=allowed.bits)
    found = allowed.found
    evolved = Evolved(found.quantized, {}, 0, allowed.stopped)
    if allowed.within_max_drop and allowed.stopped is not Stopped.INTERRUPT:
        evolved = coevolve(task, found, settings, rng)
    evolved = replace(
        evolved,
        evaluations=evolved.evaluations + evaluations,
        stopped=evolved.stopped or allowed.stopped,
        left_out=allowed.left_out,
        within_max_drop=allowed.within_max_drop,
    )
    return FineTuned(task.model, evolved, task.model, _rounded(task, allowed.bits).quantized)


def from_reconstruction(
    task: Task,
    order: Sequence[str],
    settings: SearchSettings | None,
    rng: np.random.Generator,
) -> FineTuned:
    """Reconstruct layer by layer, and refine that by the end of the network.

    Args:
        task: what there is to do.
        order: names of the weights, least sensitive first; plays a part only under a guard.
        settings: None emits the start.
        rng: draws all that is random.
    """
    start_rng, refine_rng = rng.spawn(2)
    seed = int(start_rng.integers(2**63))

    def build(bits: Mapping[str, Bits]) -> Reconstructed:
        draws = np.random.default_rng(seed)
        return reconstruct_layers(replace(task, bits=bits), draws)

    if task.max_drop_check is None:
        allowed = WithinMaxDrop(build(task.bits), dict(task.bits), (), True)
    else:
        allowed = narrowest_within_drop(order, task.bits, build, task.max_drop_check, task.deadline)
        task = replace(task, bits=allowed.bits)
    start, notes = _unless_worse(task, allowed.found)
    if settings is None or not allowed.within_max_drop or allowed.stopped:
        model, evolved = start.model, Evolved(start.quantized, {}, 0, allowed.stopped)
    else:
        model, evolved = refine(task, start, settings, refine_rng)
    evolved = replace(evolved, left_out=allowed.left_out, within_max_drop=allowed.within_max_drop)
    return FineTuned(model, evolved, start.model, start.quantized, notes)


def _unless_worse(task: Task, start: Reconstructed) -> tuple[Reconstructed, tuple[str, ...]]:
    """The reconstruction, or nearest rounding if that is better on the held-out set; and notes."""
    rounded = nearest_of(task.weights, task.bits, task.granularity, task.scale)
    model = with_codes(task.model, rounded)
    if task.fitness(model) < task.fitness(start.emitted) and task.allows(model):
        why = "nearest rounding was better than reconstruction on the held-out samples, and is used"
        return Reconstructed(task.model, rounded, {}, tuple(rounded)), (f"{why} instead.",)
    if not start.nearest:
        return start, ()
    names = ", ".join(start.nearest[:3]) + (", ..." if len(start.nearest) > 3 else "")
    return start, (
        f"{len(start.nearest)} of {len(start.quantized)} weights have no closed form and start "
        f"from nearest rounding ({names}).",
    )
