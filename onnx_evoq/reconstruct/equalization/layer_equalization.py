"""Cross-layer equalization: scale the outputs of layers so that rounding costs less.

1. For each layer, gather the Hessian H of its output error from the float model, and the cost of
   rounding its weight with each step.
2. Measure each layer's importance: the error of the model's output with this weight alone
   quantized, divided by the error of the layer's own output.
3. Choose one scale per layer (`quantize.choose_scales`), and scale the weights. The model computes
   the same as before.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Indices
from onnx_evoq.engine import Evaluators, LayerActivations, gather_at
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

_SCALE_POSITIONS = 16_384  # scales need fewer positions than codes


def equalize_layers(task: Task, rng: np.random.Generator) -> Task | None:
    """Scale a model's layers so that steps which are powers of two suit its weights.

    Args:
        task: the task, with one step per tensor.
        rng: draws the positions that moments are gathered from.

    Returns:
        The same task for the scaled model. None if no layer has a scale that may change, or if the
        time ended before all layers were measured.
    """
    model, weights, scoring = own_biases(task.model, task.bits), task.weights, task.search_set
    groups, layers = channel_groups(model), find_layers(model, weights)
    scale_of, count = _one_scale_per_layer(groups, {weight.name for weight in weights})
    if not count:
        return None
    measured = [w for w in weights if w.name in layers and w.name in groups.rows]
    activations = LayerActivations(scoring.batches, task.resources, share=0.5)
    evaluators = Evaluators([scoring.scored_by_relative_error()], task.resources, share=0.5)
    profiles = []
    with task.progress("equalization", len(measured)) as step:
        for weight in measured:
            if not task.has_time_for_a_run:
                return None
            layer = layers[weight.name].without_activations  # only H is needed
            bits = task.bits[weight.name]
            assert isinstance(bits, int)  # as one step per tensor goes with one width
            both = activations, activations
            samples = gather_at(model, model, weight, layer, both, rng, _SCALE_POSITIONS)
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
    scaled = rescaled(model, groups, scales)
    names = {weight.name for weight in weights}
    return replace(task, model=scaled, weights=weights_named(scaled, names))


def _one_scale_per_layer(groups: ChannelGroups, names: Collection[str]) -> tuple[Indices, int]:
    """Join groups of channels until all output channels of a layer have one scale.

    A scale is fixed if one of its channels is, and if a weight that is not to be changed has one of
    its channels.

    Args:
        groups: the groups of channels that must be scaled together.
        names: the weights that may be changed.

    Returns:
        (groups + 1,) the number of each group's scale, -1 if it is fixed; and how many scales there
        are. The last entry is -1, for the channels that are in no group (their group is -1).
    """
    scale_of = np.arange(groups.count + 1)
    scale_of[-1] = -1
    for kind in (groups.rows, groups.columns):
        for name in kind.keys() - names:
            scale_of[kind[name]] = -1
    for rows in groups.rows.values():
        own = scale_of[rows]
        scale_of[np.isin(scale_of, own)] = own.min()  # all that were joined before, too
    kept, numbers = np.unique(scale_of, return_inverse=True)  # -1 comes first, and is there
    return numbers - 1, len(kept) - 1
