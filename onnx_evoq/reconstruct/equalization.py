"""Scale a model's layers so that its weights lie well on their grids (`quantize.equalize_layers`).

1. Each layer's metric H is gathered from the float model, and what rounding costs with each step.
2. A layer's importance is the error of the model's output with its weight alone quantized, per unit
   of the layer's own error.
3. Scales are chosen, and the model is rewritten. It computes the same as before.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Indices
from onnx_evoq.engine import ActivationCache, Evaluators, gather_samples
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import (
    ChannelGroups,
    channel_groups,
    find_layers,
    own_biases,
    rescaled,
    weights_named,
)
from onnx_evoq.quantize import Profile, choose_scales, round_alone
from onnx_evoq.setup import Task

_SCALE_POSITIONS = 16_384  # that moments are gathered from: scales need less than codes


def equalize_layers(task: Task, rng: np.random.Generator) -> Task | None:
    """The same task for a model whose layers are scaled for one step per tensor.

    None where there is nothing to scale, or time ran out before it was known how.

    Args:
        task: what there is to do.
        rng: draws positions.
    """
    model, weights, scoring = own_biases(task.model, task.bits), task.weights, task.search_set
    groups, layers = channel_groups(model), find_layers(model, weights)
    scale_of, count = _one_scale_per_layer(groups, {weight.name for weight in weights})
    chosen = [w for w in weights if w.name in layers and w.name in groups.rows]
    cache = ActivationCache(scoring.batches, task.resources, share=0.5)
    evaluators = Evaluators([scoring.scored_by(find_metric("nmse"))], task.resources, share=0.5)
    profiles = []
    with task.progress("balancing", len(chosen)) as step:
        for weight in chosen if count else ():
            if task.deadline.passed:
                return None
            layer = replace(layers[weight.name], activation=None)  # H is all that is asked for
            bits = task.bits[weight.name]
            assert isinstance(bits, int)  # as one step per tensor goes with one width
            samples = gather_samples(
                model, model, weight, layer, [cache, cache], scoring.batches, rng, _SCALE_POSITIONS
            )
            if samples is not None:
                moments = samples.sums.moments()
                rounded = round_alone(weight.values, layer.linear, moments, bits)
                (evaluator,) = evaluators.at(model, weight.name)
                sensitivity = evaluator.value({weight.name: rounded.values})
                if (
                    np.isfinite(sensitivity)
                    and rounded.error > 0
                    and rounded.input_shares.sum() > 0
                ):
                    profiles.append(
                        Profile(
                            rounded.costs,
                            int(scale_of[groups.rows[weight.name][0]]),
                            scale_of[groups.columns[weight.name]],
                            rounded.input_shares,
                            sensitivity / rounded.error,
                        )
                    )
            step(1)
    if not profiles:
        return None
    scales = np.append(choose_scales(profiles, count), 1.0)[scale_of[:-1]]
    changed = rescaled(model, groups, scales)
    names = {weight.name for weight in weights}
    return replace(task, model=changed, weights=weights_named(changed, names))


def _one_scale_per_layer(groups: ChannelGroups, names: Collection[str]) -> tuple[Indices, int]:
    """Which scale each group of channels has, (groups + 1,), -1 for none; how many there are.

    All outputs of a layer have one; -1 if one of them must keep its scale, as what touches a weight
    without a name among `names` must. The last entry, which a channel without a group finds at -1,
    is -1.
    """
    scale_of = np.arange(groups.count + 1)
    scale_of[-1] = -1
    for kind in (groups.rows, groups.columns):
        for name in kind.keys() - names:
            scale_of[kind[name]] = -1
    changed = True
    while changed:
        before = scale_of.copy()
        for rows in groups.rows.values():
            own = scale_of[rows]
            scale_of[np.isin(scale_of, own)] = own.min()
        changed = bool((before != scale_of).any())
    kept, numbers = np.unique(scale_of, return_inverse=True)  # -1 comes first, and is there
    return numbers - 1, len(kept) - 1
