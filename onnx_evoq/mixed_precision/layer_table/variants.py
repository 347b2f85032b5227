"""The variants of each layer: quantized once for each granularity, split share and width.

A layer with a closed form is quantized for the inputs that the float model gives it
(`quantize_at_widths`). Any other weight is rounded to the nearest code. Where time is short, layers
have fewer positions, GPTQ rounding only and no splits, or nearest rounding (`reconstruct.Plan`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from onnx_evoq.array_types import Float32Array, Indices
from onnx_evoq.engine import LayerActivations, gather_at
from onnx_evoq.mixed_precision.layer_table.kept_variants import (
    AllVariants,
    keep_variants,
    kept_variants,
)
from onnx_evoq.mixed_precision.layer_table.nearest_variants import (
    NearestAtWidth,
    nearest_at_widths,
)
from onnx_evoq.mixed_precision.layer_table.several_layers import LayerInWays, LayersTogether, Way
from onnx_evoq.mixed_precision.layer_table.variant_size import VariantSize
from onnx_evoq.mixed_precision.search_space import SPLIT_SHARES, WIDTHS, ChannelSplits, Part
from onnx_evoq.model import Layer, Model, Weight, find_layers, initializer_values
from onnx_evoq.quantize import Effort, GridSpec, LayerAtWidth, LayerSamples, Linear
from onnx_evoq.reconstruct import Plan
from onnx_evoq.record import state_of
from onnx_evoq.setup import Granularity, Task, axis_of_steps, executor_of

# A choice among widths needs fewer positions than codes that are emitted.
_EFFORT = Effort(
    positions=32_768, activation_rounds=0, compared_columns=0, descends=True, restarts=0
)
_TIME_PARTS = 4  # of the time left, one of which all variants may take

Variant = LayerAtWidth | NearestAtWidth
Variants = Sequence[Sequence[Sequence[Variant]]]  # [granularity][split share][width]


@dataclass(frozen=True, eq=False)
class LayerVariants:
    """The layers of a model, each quantized by itself in all ways that a search may choose.

    Attributes:
        model: the float model; each layer has a bias of its own.
        floats: the float weights, and the biases that go with them, by name.
        axes: the channel axis of each weight that has one.
        biases: the name of the bias of each weight that has one.
        of: the variants of each weight, [granularity][split share][width]. The split share is that
            of the channels that the weight reads.
        cut: a sentence about what was left out to save time; empty if nothing was.
    """

    model: Model
    floats: Mapping[str, Float32Array]
    axes: Mapping[str, int]
    biases: Mapping[str, str]
    of: Mapping[str, Variants]
    cut: str = ""

    def whole(self, weight: str, variant: Variant) -> dict[str, Float32Array]:
        """The values of a weight, and of its bias if it has one, that are all of one variant."""
        values = {weight: variant.values}
        if weight in self.biases:
            bias = self.biases[weight]
            values[bias] = variant.bias.reshape(self.floats[bias].shape)
        return values

    def assemble(
        self, weight: str, parts: Sequence[tuple[Part, Variant]]
    ) -> dict[str, Float32Array]:
        """The values of a weight, and of its bias if it has one, part by part.

        Args:
            weight: its name.
            parts: parts of the weight, each with the variant that its channels are taken from.
                Channels of no part stay float.
        """
        if parts[0][0].channels is None:
            return self.whole(weight, parts[0][1])
        names = [weight, self.biases[weight]] if weight in self.biases else [weight]
        values = {name: self.floats[name].copy() for name in names}
        for part, variant in parts:
            channels = (slice(None),) * self.axes[weight] + (part.channels,)
            values[weight][channels] = variant.values[channels]
            if weight in self.biases:
                bias = values[self.biases[weight]].reshape(-1)
                bias[part.channels] = variant.bias[part.channels]
        return values


def quantize_variants(
    task: Task,
    model: Model,
    splits: ChannelSplits,
    granularities: Sequence[Granularity],
    rng: np.random.Generator,
) -> LayerVariants:
    """Quantize each layer by itself in all ways that a search may choose.

    Args:
        task: the weights, their samples and the type of their scales; its widths play no part.
        model: the float model; each layer has a bias of its own.
        splits: the channels that may be split.
        granularities: one step per tensor, one per channel, or both.
        rng: draws positions.
    """
    layers = find_layers(model, task.weights)
    activations = LayerActivations(task.search_set.batches, task.resources, share=0.5)
    variants: dict[str, Variants] = {}
    columns = {
        weight.name: split_columns(weight, layers[weight.name].linear, splits)
        for weight in task.weights
        if weight.name in layers
    }
    sizes = {}
    for weight in task.weights:
        if weight.name in layers:
            g, r, c = layers[weight.name].linear.matrix(weight.values).shape
            own = len(columns[weight.name])
            sizes[weight.name] = VariantSize(g, r, c, splits=own, granularities=len(granularities))
    steps = task.steps.part("variants")
    plan = Plan(list(sizes.values()), task.deadline.share(_TIME_PARTS), _EFFORT)
    with task.progress("variants", len(task.weights)) as step:

        def take_in(name: str, shares: int, state: dict[str, Any], found: AllVariants) -> None:
            variants[name] = found
            keep_variants(steps, name, found, shares, state)
            step(1)

        together = LayersTogether(plan, _EFFORT, executor_of(task.resources))
        for weight in task.weights:
            axes = [axis_of_steps(weight, own) for own in granularities]
            layer = layers.get(weight.name)
            known = kept_variants(steps, weight.name, rng)
            if layer is not None and known is not None:
                together.quantize()
                variants[weight.name] = known
                activations.passes(model, weight.name)
                plan.done(plan.effort(), learns=False)
                step(1)
                continue
            effort = None if layer is None else together.effort()
            samples = None
            if layer is not None and effort is not None:
                samples = _samples(model, weight, layer, activations, rng, effort.positions)
            if layer is None or effort is None or samples is None:
                variants[weight.name] = _round_nearest(task, weight, axes)
                step(1)
            else:
                split = columns[weight.name] if effort.descends else [[]]
                seconds = sizes[weight.name].seconds_of_way(effort)
                ways = [[Way(_specs(task, axis), each) for each in split] for axis in axes]
                shared = weight.values, layer.linear, samples.sums.moments()
                together.add(
                    LayerInWays.of(*shared, ways, descends=effort.descends, seconds=seconds),
                    partial(take_in, weight.name, len(split), state_of(rng)),
                )
            if layer is not None:
                together.taken()
        together.quantize()
    biases = {
        name: layer.bias
        for name, layer in layers.items()
        if layer.bias is not None and layer.has_one_bias
        if variants[name][0][0][0].bias.size
    }
    return LayerVariants(
        model,
        {
            **{weight.name: weight.values for weight in task.weights},
            **initializer_values(model, biases.values()),
        },
        {weight.name: weight.axis for weight in task.weights if weight.axis is not None},
        biases,
        {weight.name: variants[weight.name] for weight in task.weights},
        plan.cut,
    )


def _samples(
    model: Model,
    weight: Weight,
    layer: Layer,
    activations: LayerActivations,
    rng: np.random.Generator,
    positions: int,
) -> LayerSamples | None:
    """What a layer reads and gives in the float model; None where it cannot be had."""
    linear_only, both = layer.without_activations, (activations, activations)  # only moments
    return gather_at(model, model, weight, linear_only, both, rng, positions)


def split_columns(weight: Weight, linear: Linear, splits: ChannelSplits) -> list[list[int]]:
    """For each split share, the columns of a layer's matrix that are split.

    One list where the layer reads no channels that may be split.
    """
    sources = splits.sources.get(weight.name)
    if not sources:
        return [[]]
    axis = sources[0][1].axis
    shape = [1] * weight.values.ndim
    shape[axis] = weight.shape[axis]
    entry = np.broadcast_to(np.arange(weight.shape[axis]).reshape(shape), weight.shape)
    entry_of_column: Indices = linear.matrix(entry)[0, 0]  # (columns,)
    return [
        np.flatnonzero(np.isin(entry_of_column, splits.input_entries(weight.name, share))).tolist()
        for share in SPLIT_SHARES
    ]


def _specs(task: Task, axis: int | None) -> list[GridSpec]:
    """The bits, axis, scale and type of a layer's steps for each width."""
    return [GridSpec(width, axis, task.scale, narrow=task.narrow_range) for width in WIDTHS]


def _round_nearest(
    task: Task, weight: Weight, axes: Sequence[int | None]
) -> list[list[list[NearestAtWidth]]]:
    """A weight without a closed form, [granularity][split share][width]."""
    variants = {}
    for axis in dict.fromkeys(axes):  # a table has one step with either granularity
        specs = [
            GridSpec(bits, axis, task.scale, weight.dtype, task.narrow_range) for bits in WIDTHS
        ]
        variants[axis] = [nearest_at_widths(weight, specs)] * len(SPLIT_SHARES)
    return [variants[axis] for axis in axes]
