"""Every layer at every width, quantized once: what individuals of a search are put together from.

1. A layer with a closed form is quantized at each width for the inputs that the float model gives
   it (`quantize_at_widths`), and again for each share of its input channels that may be split.
   Any other weight is rounded to the nearest.
2. Its harm is the error of the model's output (nmse) with that part alone quantized, all else
   float: measured at 4 bits and with the first kind of steps, and elsewhere in proportion to the
   error of the layer's own output.
3. Per channel, the channels of a layer are put into groups of about equal size by their error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices
from onnx_evoq.engine import ActivationCache, Evaluators, gather_samples
from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.space import (
    SPLIT_SHARES,
    WIDTHS,
    Genome,
    Part,
    Space,
    blocks_of,
    space_of,
)
from onnx_evoq.model import (
    ChannelReader,
    Layer,
    Model,
    Weight,
    bytes_besides,
    bytes_per_copy,
    channel_readers,
    channels_to_split,
    find_layers,
    initializer_values,
    outlier_orders,
    own_biases,
)
from onnx_evoq.quantize import GridSpec, LayerAtWidth, dequantize, fit, nearest, quantize_at_widths
from onnx_evoq.setup import Granularity, Task, axis_of_steps

_TABLE_POSITIONS = 32_768  # that moments are gathered from: a choice needs less than codes
_TABLE_SAMPLES = 256  # that harm is measured on
_GROUPS = 8  # of channels, per layer
_MEMBERS = 4  # of a group, at least
_TYPICAL = 4  # the width whose errors are measured, and group channels
_RUINED = 1e9  # stands for an error that is no number


@dataclass(frozen=True, eq=False)
class LayerTable:
    """Layers to choose from.

    Attributes:
        model: the float model, its layers with biases of their own.
        space: the choices.
        floats: its weights, and the biases that go with them, by name.
        axes: the channel axis of each weight that has one.
        biases: the bias of each weight that has one.
        rungs: each weight for each kind of steps, for each share of its input that is split, by
            width.
        harm: (parts, kinds, widths), what each part's width does to the output's error by itself.
        eased: (parts, kinds, widths, shares), the layer's own error with split inputs, as a share
            of that without.
    """

    model: Model
    space: Space
    floats: Mapping[str, Float32Array]
    axes: Mapping[str, int]
    biases: Mapping[str, str]
    variants: Mapping[str, Sequence[Sequence[Mapping[int, LayerAtWidth]]]]
    sensitivity: Float64Array
    split_factor: Float64Array

    def values(self, genome: Genome) -> dict[str, Float32Array]:
        """Weights and biases of an individual, by name.

        A split channel's copies act as one column: their weights are added up.
        """
        values: dict[str, Float32Array] = {}
        for part, width in zip(self.space.parts, self.space.widths(genome), strict=True):
            share = self.space.share_of(genome, part.source)
            kind = self.space.kind(genome, part.weight)
            self.put(values, part, self.variants[part.weight][kind][share][width])
        return values

    def put(self, values: dict[str, Float32Array], part: Part, variant: LayerAtWidth) -> None:
        """Give one part's channels in `values` what they have on a rung; the rest is float."""
        name, channels, bias = part.weight, part.channels, self.biases.get(part.weight)
        if channels is None:
            values[name] = variant.values
            if bias is not None:
                values[bias] = variant.bias.reshape(self.floats[bias].shape)
            return
        where = (slice(None),) * self.axes[name] + (channels,)
        values.setdefault(name, self.floats[name].copy())[where] = variant.values[where]
        if bias is not None:
            flat = values.setdefault(bias, self.floats[bias].copy()).reshape(-1)
            flat[channels] = variant.bias[channels]

    def guess(self, genome: Genome) -> float:
        """The output's error (nmse) if parts did not act on each other."""
        return float(self.sensitivities(genome).sum())

    def cost_of(self, genome: Genome, weight: str) -> tuple[float, int]:
        """What one weight of an individual harms by itself, and the bits of its codes and steps."""
        space, kind = self.space, self.space.kind(genome, weight)
        own = space.indices[weight]
        genes = space.genes(genome)[own]
        parts = [space.parts[index] for index in own]
        codes = sum(space.stored(p, WIDTHS[g]) for p, g in zip(parts, genes, strict=True))
        steps = sum(part.rows for part in parts) if space.stepped(genome, weight) else 1
        return float(self.sensitivity[own, kind, genes].sum()), codes + 8 * space.step_bytes * steps

    def sensitivities(self, genome: Genome) -> Float64Array:
        """(parts,) what each part of an individual does to the output's error (nmse) by itself."""
        index, genes = np.arange(len(self.space.parts)), self.space.genes(genome)
        kinds = [self.space.kind(genome, part.weight) for part in self.space.parts]
        shares = [self.space.share_of(genome, part.source) for part in self.space.parts]
        return np.asarray(
            self.sensitivity[index, kinds, genes] * self.split_factor[index, kinds, genes, shares]
        )


def build_layer_table(
    task: Task,
    rng: np.random.Generator,
    expansion: bool,
    groups: bool,
    in_file: bool,
    kinds: Sequence[Granularity] = ("tensor",),
) -> LayerTable:
    """Quantize every layer at every width, and measure what that does.

    Args:
        task: what there is to do; its widths play no part.
        rng: draws positions.
        expansion: whether channels may be split.
        groups: whether the channels of a layer are divided into groups with a width each.
        in_file: whether the file's size counts, instead of the packed one.
        kinds: one step per tensor, one per channel, or both; uniform widths have the first.
    """
    model, weights = own_biases(task.model, task.bits), task.weights
    layers = find_layers(model, weights)
    readers, orders = channel_readers(model), outlier_orders(model)
    blocks = blocks_of(readers, [weight.name for weight in weights]) if expansion else []
    split = [name for block in blocks for name in block]
    cache = ActivationCache(task.search_set.batches, task.resources, share=0.5)
    variants = dict[str, list[list[dict[int, LayerAtWidth]]]]()
    with task.progress("candidates", len(weights)) as step:
        for weight in weights:
            read = [(n, r) for n in split for r in readers[n] if r.weight == weight.name]
            entries = [
                _entries(read, orders, share) for share in (SPLIT_SHARES if read else (0.0,))
            ]
            layer = layers.get(weight.name)
            axis = read[0][1].axis if read else 0
            variants[weight.name] = _variants(
                task, model, weight, layer, cache, kinds, entries, axis, rng
            )
            step(1)
    biases = {
        name: layer.bias
        for name, layer in layers.items()
        if layer.bias is not None and variants[name][0][0][WIDTHS[0]].bias.size
    }
    several = {
        weight.name: grouped(variants[weight.name][-1][0][_TYPICAL].costs)
        for weight in weights
        if groups and _has_rows(weight, variants[weight.name][-1][0][_TYPICAL])  # one group, if few
    }
    floats = {weight.name: weight.values for weight in weights}
    space = space_of(
        weights, several, blocks, readers, orders, bytes_per_copy(model),
        bytes_besides(model, floats), in_file, kinds,
        [weight.name for weight in weights if len(kinds) > 1 and weight.axis is not None],
        1 if task.scale == "pow2" and not in_file else 4,
    )  # fmt: skip
    found = LayerTable(
        model,
        space,
        {**floats, **initializer_values(model, biases.values())},
        {weight.name: weight.axis for weight in weights if weight.axis is not None},
        biases,
        variants,
        np.empty(0),
        np.empty(0),
    )
    return replace(found, sensitivity=_sensitivity(task, found), split_factor=_split_factor(found))


def grouped(costs: Float64Array) -> list[Indices]:
    """Channels in groups of about equal size, the ones with the largest cost first.

    Args:
        costs: (channels,).

    Example:
        >>> [group.tolist() for group in grouped(np.array([1., 8, 2, 7, 3, 6, 4, 5]))]
        [[1, 3, 5, 7], [0, 2, 4, 6]]
    """
    count = int(np.clip(len(costs) // _MEMBERS, 1, _GROUPS))
    order = np.argsort(-costs, kind="stable")
    return [np.sort(part) for part in np.array_split(order, count)]


def _has_rows(weight: Weight, variant: LayerAtWidth) -> bool:
    """Whether each channel along the weight's axis is a row of its matrix."""
    if weight.axis is None or not variant.bias.size:
        return False
    return len(variant.costs) == weight.shape[weight.axis]


def _entries(
    read: Sequence[tuple[str, ChannelReader]], orders: Mapping[str, Indices], share: float
) -> list[int]:
    """Entries along a weight's input axis that are split, if a share of its sources' channels is.

    Args:
        read: the weight's sources, and how it reads each of them.
        orders: the channels of these, those to split first first.
        share: of the channels.
    """
    return [
        reader.start + channel * reader.block + entry
        for name, reader in read
        for channel in channels_to_split(orders[name], share)
        for entry in range(reader.block)
    ]


def _variants(
    task: Task,
    model: Model,
    weight: Weight,
    layer: Layer | None,
    cache: ActivationCache,
    kinds: Sequence[Granularity],
    split: Sequence[Sequence[int]],
    input_axis: int,
    rng: np.random.Generator,
) -> list[list[dict[int, LayerAtWidth]]]:
    """A weight at all widths, for each kind of steps and each choice of input entries to split."""
    axes = [axis_of_steps(weight, kind) for kind in kinds]
    samples = None
    if layer is not None:
        free = replace(layer, activation=None)  # moments are all that is asked for
        caches, batches = [cache, cache], task.search_set.batches
        samples = gather_samples(model, model, weight, free, caches, batches, rng, _TABLE_POSITIONS)
    if layer is None or samples is None:
        return [
            [{bits: _rounded(task, weight, bits, axis) for bits in WIDTHS}] * len(split)
            for axis in axes
        ]
    moments = samples.sums.moments()
    shape = [1] * weight.values.ndim
    shape[input_axis] = -1
    entry = np.broadcast_to(np.arange(weight.shape[input_axis]).reshape(shape), weight.shape)
    of_column = layer.linear.matrix(entry)[0, 0]  # (columns,)
    return [
        [
            dict(zip(WIDTHS, quantize_at_widths(
                weight.values, layer.linear, moments,
                [GridSpec(bits, axis, task.scale) for bits in WIDTHS],
                np.flatnonzero(np.isin(of_column, entries)).tolist(),
            ), strict=True))
            for entries in split
        ]
        for axis in axes
    ]  # fmt: skip


def _rounded(task: Task, weight: Weight, bits: int, axis: int | None) -> LayerAtWidth:
    grid = fit(weight.values, bits, axis, task.scale, weight.dtype)
    values = dequantize(nearest(weight.values, grid), grid)
    error = np.array([((values - weight.values) ** 2).sum()], np.float64)
    return LayerAtWidth(values, np.empty(0, np.float32), error)


def _sensitivity(task: Task, found: LayerTable) -> Float64Array:
    """(parts, kinds, widths): the output's error with one part of the float model quantized.

    It is measured at one width of the first kind, and elsewhere in proportion to the error of the
    layer's own output.
    """
    scoring = task.search_set.first(_TABLE_SAMPLES).scored_by(find_metric("nmse"))
    evaluators = Evaluators([scoring], task.resources, share=0.5)
    sensitivity = _costs(found)
    with task.progress("sensitivity", len(sensitivity)) as step:
        for name, several in groupby(enumerate(found.space.parts), lambda each: each[1].weight):
            own = [name, found.biases[name]] if name in found.biases else [name]
            (evaluator,) = evaluators.at(found.model, *own)
            for index, part in several:
                # The typical width, unless all codes are exact there.
                gene = WIDTHS.index(_TYPICAL)
                while gene and not sensitivity[index, 0, gene] > 0:
                    gene -= 1
                values: dict[str, Float32Array] = {}
                found.put(values, part, found.variants[name][0][0][WIDTHS[gene]])
                measured = evaluator.value(values)
                if sensitivity[index, 0, gene] > 0:
                    sensitivity[index] /= sensitivity[index, 0, gene]
                    sensitivity[index] *= measured if np.isfinite(measured) else _RUINED
                step(1)
    return sensitivity


def _costs(found: LayerTable, share: int = 0) -> Float64Array:
    """(parts, kinds, widths): the error of the layer's own output, if a share of it is split."""
    return np.array(
        [
            [
                [
                    variants[min(share, len(variants) - 1)][bits].costs[_own(part)].sum()
                    for bits in WIDTHS
                ]
                for variants in found.variants[part.weight]
            ]
            for part in found.space.parts
        ]
    )


def _own(part: Part) -> slice | Indices:
    return slice(None) if part.channels is None else part.channels


def _split_factor(found: LayerTable) -> Float64Array:
    """(parts, kinds, widths, shares): a layer's own error with split inputs, by that without."""
    plain = _costs(found)
    return np.stack(
        [
            np.divide(_costs(found, share), plain, out=np.ones_like(plain), where=plain > 0)
            for share in range(len(SPLIT_SHARES))
        ],
        axis=-1,
    )
