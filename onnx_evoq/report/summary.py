"""Make the values that a caller gets from the results of a search and of an inspection."""

import math
from collections.abc import Mapping

import numpy as np

from onnx_evoq.array_blocks import extremes
from onnx_evoq.evolve import Evolved
from onnx_evoq.metrics import Metric
from onnx_evoq.model import Weight
from onnx_evoq.quantize import int_bits, packed_size
from onnx_evoq.report.results import Coverage, LayerResult, WeightInfo
from onnx_evoq.report.texts import number, size
from onnx_evoq.run import Stopped
from onnx_evoq.setup import MAX_BITS, MIN_BITS, Score

_FAR_MORE = 10  # times the error
_NAMES = 3  # weights that a note names
_MOST_INTEGER_BITS = 8  # of activations that kernels of ONNX Runtime take


def layer_results(evolved: Evolved, ranking: Mapping[str, float]) -> tuple[LayerResult, ...]:
    """The result for each weight, in the order of the ranking."""
    results = []
    for name, sensitivity in ranking.items():
        grid = evolved.quantized[name].grid
        scores = evolved.layers.get(name)
        results.append(
            LayerResult(
                name=name,
                bits=grid.bits,
                frac_bits=grid.frac_bits,
                sensitivity=sensitivity,
                before=None if scores is None else scores.before,
                after=None if scores is None else scores.after,
            )
        )
    return tuple(results)


def notes_on(
    evolved: Evolved,
    ranking: Mapping[str, float],
    max_drop: float | None,
    ranked: bool = True,
    activation_bits: int | None = None,
) -> list[str]:
    """Say what a user should know about how ranking and search ended.

    Args:
        evolved: the result of the search.
        ranking: the sensitivity of each weight; NaN if it was not ranked.
        max_drop: the allowed drop in percent; None for no limit.
        ranked: whether weights were to be ranked at all.
        activation_bits: width of the codes of activations; None if they are floats.
    """
    notes = []
    unranked = sum(math.isnan(value) for value in ranking.values())
    if ranked and unranked:
        notes.append(
            f"{unranked} of {len(ranking)} weights were not ranked within their share of the time "
            "budget, and come last: allow more time, or use fewer samples."
        )
    if evolved.stopped is Stopped.TIME and not evolved.left_out:
        searched = len(evolved.layers)
        notes.append(
            f"the time budget cut the search short after {evolved.evaluations} evaluations "
            f"({searched} of {len(ranking)} weights were searched): a longer one finds more, and "
            "only a search that runs to its end repeats to the byte."
        )
    if evolved.stopped is Stopped.INTERRUPT:
        notes.append("the search was interrupted: the result is what was found until then.")
    if evolved.too_large:
        names = ", ".join(evolved.too_large[:_NAMES])
        more = ", ..." if len(evolved.too_large) > _NAMES else ""
        notes.append(
            f"{len(evolved.too_large)} of {len(evolved.quantized)} weights were not searched, as "
            f"candidates of them take more memory than is free or allowed ({names}{more})."
        )
    if evolved.left_out:
        why = f"since the next would have passed the allowed drop of {max_drop:g} percent"
        if evolved.stopped is Stopped.INTERRUPT:
            why = "since the search was interrupted before them"
        elif evolved.stopped is Stopped.TIME:
            why += " after its share of the time budget: a longer one may take more"
        notes.append(
            f"{len(evolved.left_out)} of {len(evolved.quantized)} weights stay at 8 bits, {why}."
        )
    if activation_bits is not None and activation_bits > _MOST_INTEGER_BITS:
        notes.append(
            f"activations of {activation_bits} bits save no time in ONNX Runtime, which computes "
            "them in floats: other runtimes have kernels for them, and 8 bits have."
        )
    return notes


def notes_on_fit(score: Score, metric: Metric) -> list[str]:
    """A note if the held-out samples have far more error than those that weights were fitted to."""
    if metric.higher_is_better or not 0 < _FAR_MORE * score.search < score.heldout:
        return []
    times = score.heldout / score.search
    return [
        f"the error of the held-out samples is {times:.0f} times that of the samples that weights "
        "were fitted to: give more samples, or more bits."
    ]


def notes_on_nearest(
    scores: Mapping[str, Score], metric: Metric, stopped: Stopped | None
) -> list[str]:
    """A note if nearest rounding is better on the held-out samples than the model that was made.

    Args:
        scores: of "nearest" rounding, and of the model ("evolved").
        metric: of the scores.
        stopped: why the search ended early; None if it did not.
    """
    nearest, evolved = scores["nearest"].heldout, scores["evolved"].heldout
    worse = metric.fitness(evolved) > metric.fitness(nearest)
    if not worse or number(evolved) == number(nearest):
        return []
    remedy = "let the search run to its end" if stopped else "give more samples, or more bits"
    return [
        f"the model is worse than nearest rounding on the held-out samples ({number(evolved)} "
        f"against {number(nearest)}): {remedy}, or take nearest rounding (--init nearest "
        "--strategy none)."
    ]


def notes_on_size(before: int, after: int, coverage: Coverage) -> list[str]:
    """A note if a file is no smaller than that of the float model, and why.

    Args:
        before: bytes of the float model's file.
        after: bytes of the emitted file.
        coverage: how much of the model is quantized.
    """
    if after < before:
        return []
    why = "its graph takes more room than its weights, and each weight adds a node and two tensors"
    if coverage.total and coverage.float > coverage.total / 2:
        why = f"{100 * coverage.float / coverage.total:.0f} % of its floats stay floats"
    return [f"the file is not smaller, {size(before)} before and {size(after)} now: {why}."]


def weight_info(weight: Weight, no_expansion: str | None, closed_form: bool = True) -> WeightInfo:
    """Describe a weight.

    Args:
        weight: the weight.
        no_expansion: why its output channels cannot be split; None if they can.
        closed_form: whether it can be quantized in closed form.
    """
    values, (low, high) = weight.values, extremes(weight.values)
    return WeightInfo(
        name=weight.name,
        op_type=weight.op_type,
        nodes=weight.nodes,
        shape=weight.shape,
        dtype=weight.dtype,
        axis=weight.axis,
        low=low,
        high=high,
        int_bits=int(int_bits(np.array(max(-low, high)))),
        bytes={bits: packed_size(values.size, bits) for bits in range(MIN_BITS, MAX_BITS + 1)},
        no_expansion=no_expansion,
        closed_form=closed_form,
    )
