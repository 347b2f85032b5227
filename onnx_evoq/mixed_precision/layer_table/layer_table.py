"""The layer table: all variants of all layers with their sensitivities, made once per search.

Weights, predicted errors and costs of any choice are looked up in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices
from onnx_evoq.mixed_precision.layer_table.part_sensitivity import (
    measure_sensitivity,
    split_factors,
)
from onnx_evoq.mixed_precision.layer_table.variants import LayerVariants, quantize_variants
from onnx_evoq.mixed_precision.search_space import (
    REFERENCE_WIDTH,
    Choice,
    SearchSpaceOptions,
    Space,
    build_space,
    find_splits,
)
from onnx_evoq.model import Weight, as_network, own_biases
from onnx_evoq.setup import Task

_MOST_GROUPS = 8  # of the channels of one layer
_LEAST_CHANNELS = 4  # of one group


@dataclass(frozen=True, eq=False)
class LayerTable:
    """The variants of the layers, and the sensitivity of each part.

    Attributes:
        space: the choices among the variants.
        layers: the variants.
        sensitivity: (parts, granularities, widths), the error of the model's output (nmse) with
            that part alone quantized.
        split_factor: (parts, granularities, widths, split shares), the error of the layer's own
            output with split inputs, as a multiple of that without.
    """

    space: Space
    layers: LayerVariants
    sensitivity: Float64Array
    split_factor: Float64Array

    def values(self, choice: Choice) -> dict[str, Float32Array]:
        """The weights and biases of a choice, by name.

        The copies of a split channel act as one column: their weights are added up.
        """
        values: dict[str, Float32Array] = {}
        for name, own in self.space.indices.items():
            granularity, split = choice.granularities[own[0]], choice.input_splits[own[0]]
            at_widths = self.layers.of[name][granularity][split]
            parts = [(self.space.parts[index], at_widths[choice.widths[index]]) for index in own]
            values |= self.layers.assemble(name, parts)
        return values

    def sensitivities(self, choice: Choice) -> Float64Array:
        """(parts,): the error of the model's output (nmse) that each part alone causes."""
        rows = (np.arange(len(self.space.parts)), choice.granularities, choice.widths)
        return np.asarray(self.sensitivity[rows] * self.split_factor[(*rows, choice.input_splits)])

    def predicted_error(self, choice: Choice) -> float:
        """The sum of the sensitivities: the output's error (nmse) if errors just added up."""
        return float(self.sensitivities(choice).sum())

    def cost_of(self, choice: Choice, weight: str) -> tuple[float, int]:
        """The sensitivity of one weight by itself, and the bits of its codes and its steps.

        Nothing may be split.
        """
        space, own = self.space, self.space.indices[weight]
        widths, granularity = choice.widths[own], choice.granularities[own[0]]
        parts = [space.parts[index] for index in own]
        codes = sum(space.code_bits(p, width) for p, width in zip(parts, widths, strict=True))
        per_channel = space.granularities[granularity] == "channel"
        steps = sum(part.rows for part in parts) if per_channel else 1
        sensitivity = float(self.sensitivity[own, granularity, widths].sum())
        return sensitivity, codes + 8 * space.step_bytes * steps

    def compensated(self, shares: Float64Array) -> "LayerTable":
        """The same table with the sensitivity that is left after compensation.

        Args:
            shares: (parts, widths), as `uncompensated_shares` gives them.
        """
        return replace(self, sensitivity=self.sensitivity * shares[:, None])


def build_layer_table(
    task: Task, rng: np.random.Generator, options: SearchSpaceOptions
) -> LayerTable:
    """Quantize every layer at every width, and measure the sensitivity of each part.

    Args:
        task: the model, its weights and its samples; its widths play no part.
        rng: draws positions.
        options: what the search may choose.
    """
    model = own_biases(task.model, task.bits)
    splits = find_splits(model, task.weights, options.expansion)
    layers = quantize_variants(task, model, splits, options.granularities, rng)
    groups = find_channel_groups(layers, task.weights) if options.per_channel else {}
    behind = task.with_behind(as_network(model), {})
    space = build_space(model, task.weights, groups, splits, task.scale, options, behind)
    sensitivity = measure_sensitivity(task, space, layers)
    return LayerTable(space, layers, sensitivity, split_factors(space, layers))


def group_channels(costs: Float64Array) -> list[Indices]:
    """Channels in groups of about equal size, those with the largest costs first.

    Args:
        costs: (channels,), the error of the layer's output that each channel causes.

    Example:
        >>> [group.tolist() for group in group_channels(np.array([1., 8, 2, 7, 3, 6, 4, 5]))]
        [[1, 3, 5, 7], [0, 2, 4, 6]]
    """
    count = int(np.clip(len(costs) // _LEAST_CHANNELS, 1, _MOST_GROUPS))
    order = np.argsort(-costs, kind="stable")
    return [np.sort(group) for group in np.array_split(order, count)]


def find_channel_groups(
    layers: LayerVariants, weights: Sequence[Weight]
) -> dict[str, list[Indices]]:
    """The groups of channels of each weight whose channels are the rows of its matrix."""
    groups = {}
    for weight in weights:
        variant = layers.of[weight.name][-1][0][REFERENCE_WIDTH]  # a step per channel comes last
        channels = 0 if weight.axis is None else weight.shape[weight.axis]
        if variant.bias.size and len(variant.costs) == channels:
            groups[weight.name] = group_channels(variant.costs)
    return groups
