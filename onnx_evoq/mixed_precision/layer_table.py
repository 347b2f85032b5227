"""Every layer at every width, quantized once: what individuals of a search are put together from.

1. A layer with a closed form is quantized at each width for the inputs that the float model gives
   it (`quantize.ladder`), and again for each share of its input channels that may be split. Any
   other weight is rounded to the nearest.
2. Its harm is the error of the model's output (nmse) with that part alone quantized, all else
   float: measured at 4 bits and with the first kind of steps, and elsewhere in proportion to the
   error of the layer's own output.
3. Per channel, the channels of a layer are put into groups of about equal size by their error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.engine import Engine, Front, layer_samples
from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.space import SHARES, WIDTHS, Genome, Part, Space, blocks_of, space_of
from onnx_evoq.model import (
    Layer,
    Model,
    Reader,
    Weight,
    bytes_besides,
    bytes_per_copy,
    find_layers,
    first_of,
    initializer_values,
    outliers,
    own_biases,
    readers_of,
)
from onnx_evoq.quantize import Rung, dequantize, fit, ladder, nearest
from onnx_evoq.setup import Granularity, Task, axis_of_steps

Floats = NDArray[np.float32]

_POSITIONS = 32_768  # that moments are gathered from: a choice needs less than codes
_SAMPLES = 256  # that harm is measured on
_GROUPS = 8  # of channels, per layer
_MEMBERS = 4  # of a group, at least
_TYPICAL = 4  # the width whose errors are measured, and group channels
_RUINED = 1e9  # stands for an error that is no number


@dataclass(frozen=True, eq=False)
class Candidates:
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
    floats: Mapping[str, Floats]
    axes: Mapping[str, int]
    biases: Mapping[str, str]
    rungs: Mapping[str, Sequence[Sequence[Mapping[int, Rung]]]]
    harm: NDArray[np.float64]
    eased: NDArray[np.float64]

    def values(self, genome: Genome) -> dict[str, Floats]:
        """Weights and biases of an individual, by name.

        A split channel's copies act as one column: their weights are added up.
        """
        values: dict[str, Floats] = {}
        for part, width in zip(self.space.parts, self.space.widths(genome), strict=True):
            share = self.space.share_of(genome, part.source)
            kind = self.space.kind(genome, part.weight)
            self.put(values, part, self.rungs[part.weight][kind][share][width])
        return values

    def put(self, values: dict[str, Floats], part: Part, rung: Rung) -> None:
        """Give one part's channels in `values` what they have on a rung; the rest is float."""
        name, channels, bias = part.weight, part.channels, self.biases.get(part.weight)
        if channels is None:
            values[name] = rung.values
            if bias is not None:
                values[bias] = rung.bias.reshape(self.floats[bias].shape)
            return
        where = (slice(None),) * self.axes[name] + (channels,)
        values.setdefault(name, self.floats[name].copy())[where] = rung.values[where]
        if bias is not None:
            flat = values.setdefault(bias, self.floats[bias].copy()).reshape(-1)
            flat[channels] = rung.bias[channels]

    def guess(self, genome: Genome) -> float:
        """The output's error (nmse) if parts did not act on each other."""
        return float(self.harms(genome).sum())

    def cost_of(self, genome: Genome, weight: str) -> tuple[float, int]:
        """What one weight of an individual harms by itself, and the bits of its codes and steps."""
        space, kind = self.space, self.space.kind(genome, weight)
        own = space.places[weight]
        genes = space.genes(genome)[own]
        parts = [space.parts[place] for place in own]
        codes = sum(space.stored(p, WIDTHS[g]) for p, g in zip(parts, genes, strict=True))
        steps = sum(part.rows for part in parts) if space.stepped(genome, weight) else 1
        return float(self.harm[own, kind, genes].sum()), codes + 8 * space.step_bytes * steps

    def harms(self, genome: Genome) -> NDArray[np.float64]:
        """(parts,) what each part of an individual does to the output's error (nmse) by itself."""
        place, genes = np.arange(len(self.space.parts)), self.space.genes(genome)
        kinds = [self.space.kind(genome, part.weight) for part in self.space.parts]
        shares = [self.space.share_of(genome, part.source) for part in self.space.parts]
        return np.asarray(self.harm[place, kinds, genes] * self.eased[place, kinds, genes, shares])


def find_candidates(
    task: Task,
    rng: np.random.Generator,
    expansion: bool,
    groups: bool,
    in_file: bool,
    kinds: Sequence[Granularity] = ("tensor",),
) -> Candidates:
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
    readers, orders = readers_of(model), outliers(model)
    blocks = blocks_of(readers, [weight.name for weight in weights]) if expansion else []
    split = [name for block in blocks for name in block]
    front = Front(task.search_set.batches, task.resources, share=0.5)
    rungs = dict[str, list[list[dict[int, Rung]]]]()
    with task.progress("candidates", len(weights)) as step:
        for weight in weights:
            read = [(n, r) for n in split for r in readers[n] if r.weight == weight.name]
            entries = [_entries(read, orders, share) for share in (SHARES if read else (0.0,))]
            layer = layers.get(weight.name)
            axis = read[0][1].axis if read else 0
            rungs[weight.name] = _rungs(
                task, model, weight, layer, front, kinds, entries, axis, rng
            )
            step(1)
    biases = {
        name: layer.bias
        for name, layer in layers.items()
        if layer.bias is not None and rungs[name][0][0][WIDTHS[0]].bias.size
    }
    several = {
        weight.name: grouped(rungs[weight.name][-1][0][_TYPICAL].costs)
        for weight in weights
        if groups and _has_rows(weight, rungs[weight.name][-1][0][_TYPICAL])  # one group, if few
    }
    floats = {weight.name: weight.values for weight in weights}
    space = space_of(
        weights, several, blocks, readers, orders, bytes_per_copy(model),
        bytes_besides(model, floats), in_file, kinds,
        [weight.name for weight in weights if len(kinds) > 1 and weight.axis is not None],
        1 if task.scale == "pow2" and not in_file else 4,
    )  # fmt: skip
    found = Candidates(
        model,
        space,
        {**floats, **initializer_values(model, biases.values())},
        {weight.name: weight.axis for weight in weights if weight.axis is not None},
        biases,
        rungs,
        np.empty(0),
        np.empty(0),
    )
    return replace(found, harm=_harm(task, found), eased=_eased(found))


def grouped(costs: NDArray[np.float64]) -> list[NDArray[np.intp]]:
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


def _has_rows(weight: Weight, rung: Rung) -> bool:
    """Whether each channel along the weight's axis is a row of its matrix."""
    if weight.axis is None or not rung.bias.size:
        return False
    return len(rung.costs) == weight.shape[weight.axis]


def _entries(
    read: Sequence[tuple[str, Reader]], orders: Mapping[str, NDArray[np.intp]], share: float
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
        for channel in first_of(orders[name], share)
        for entry in range(reader.block)
    ]


def _rungs(
    task: Task,
    model: Model,
    weight: Weight,
    layer: Layer | None,
    front: Front,
    kinds: Sequence[Granularity],
    split: Sequence[Sequence[int]],
    input_axis: int,
    rng: np.random.Generator,
) -> list[list[dict[int, Rung]]]:
    """A weight at all widths, for each kind of steps and each choice of input entries to split."""
    axes = [axis_of_steps(weight, kind) for kind in kinds]
    samples = None
    if layer is not None:
        free = replace(layer, clamp=None)  # moments are all that is asked for
        fronts, batches = [front, front], task.search_set.batches
        samples = layer_samples(model, model, weight, free, fronts, batches, rng, _POSITIONS)
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
            ladder(
                weight.values, layer.linear, moments, WIDTHS, axis, task.scale,
                np.flatnonzero(np.isin(of_column, entries)).tolist(),
            )
            for entries in split
        ]
        for axis in axes
    ]  # fmt: skip


def _rounded(task: Task, weight: Weight, bits: int, axis: int | None) -> Rung:
    grid = fit(weight.values, bits, axis, task.scale, weight.dtype)
    values = dequantize(nearest(weight.values, grid), grid)
    error = np.array([((values - weight.values) ** 2).sum()], np.float64)
    return Rung(values, np.empty(0, np.float32), error)


def _harm(task: Task, found: Candidates) -> NDArray[np.float64]:
    """(parts, kinds, widths): the output's error with one part of the float model quantized.

    It is measured at one width of the first kind, and elsewhere in proportion to the error of the
    layer's own output.
    """
    scoring = task.search_set.first(_SAMPLES).scored_by(find_metric("nmse"))
    engine = Engine([scoring], task.resources, share=0.5)
    harm = _costs(found)
    with task.progress("sensitivity", len(harm)) as step:
        for name, several in groupby(enumerate(found.space.parts), lambda each: each[1].weight):
            own = [name, found.biases[name]] if name in found.biases else [name]
            (evaluator,) = engine.evaluators(found.model, *own)
            for place, part in several:
                # The typical width, unless all codes are exact there.
                gene = WIDTHS.index(_TYPICAL)
                while gene and not harm[place, 0, gene] > 0:
                    gene -= 1
                values: dict[str, Floats] = {}
                found.put(values, part, found.rungs[name][0][0][WIDTHS[gene]])
                measured = evaluator.value(values)
                if harm[place, 0, gene] > 0:
                    harm[place] /= harm[place, 0, gene]
                    harm[place] *= measured if np.isfinite(measured) else _RUINED
                step(1)
    return harm


def _costs(found: Candidates, share: int = 0) -> NDArray[np.float64]:
    """(parts, kinds, widths): the error of the layer's own output, if a share of it is split."""
    return np.array(
        [
            [
                [rungs[min(share, len(rungs) - 1)][bits].costs[_own(part)].sum() for bits in WIDTHS]
                for rungs in found.rungs[part.weight]
            ]
            for part in found.space.parts
        ]
    )


def _own(part: Part) -> slice | NDArray[np.intp]:
    return slice(None) if part.channels is None else part.channels


def _eased(found: Candidates) -> NDArray[np.float64]:
    """(parts, kinds, widths, shares): a layer's own error with split inputs, by that without."""
    plain = _costs(found)
    return np.stack(
        [
            np.divide(_costs(found, share), plain, out=np.ones_like(plain), where=plain > 0)
            for share in range(len(SHARES))
        ],
        axis=-1,
    )
