"""The columns that a layer multiplies, and the targets of its output, at positions of one batch.

The columns come from the model with the weights before the layer quantized, the targets from the
float model:

1. They are the layer's output. Where that is no tensor of the model, since its node goes on with it
   (an activation, attention, a recurrence), they are ``W x + b`` of the float model's columns x.
2. If the layer's output is one branch of a residual sum, they are the float model's sum minus the
   quantized model's other branch.
3. If the node adds another product to it (a recurrence), they are the float model's sum of both
   minus the quantized model's other product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float32Array, Indices
from onnx_evoq.batch import Batch, mean_length
from onnx_evoq.engine.samples.drawn_positions import (
    drawn_by_weight,
    drawn_positions,
    slopes_of_scores,
)
from onnx_evoq.model import Layer, Runnable, float_bias, initializer_values
from onnx_evoq.quantize import SampleChunk


@dataclass(frozen=True, eq=False)
class AtLayer:
    """What the columns and the targets of a layer depend on, besides the tensors around it.

    Attributes:
        layer: the layer.
        weight: the float weight, in its own shape.
        bias: (channels,), the float bias of a layer whose output is no tensor; None for zeros.
        beside: the weight of `layer.beside` in the float model and in the quantized one; None if
            the node adds no other product.
    """

    layer: Layer
    weight: Float32Array
    bias: Float32Array | None = None
    beside: tuple[Float32Array, Float32Array] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(groups, rows, columns) of the layer's matrix."""
        groups, rows, columns = self.layer.linear.matrix(self.weight).shape
        return groups, rows, columns

    def float_outputs(self, columns: Float32Array) -> Float32Array:
        """``W x + b`` of the float layer, (groups, positions, rows).

        Args:
            columns: x, (groups, positions, columns).
        """
        matrix = self.layer.linear.matrix(self.weight)
        outputs = columns @ np.asarray(matrix.transpose(0, 2, 1), np.float32)
        if self.bias is not None:
            outputs += self.bias.reshape(len(outputs), 1, -1)
        return np.asarray(outputs)

    def change_beside(self, values: tuple[Array, Array], at: Indices) -> Float32Array:
        """The product beside the layer in the float model, less that in the quantized one.

        Args:
            values: what the product's weight multiplies in the two models, of some entries.
            at: indices of output positions.

        Returns:
            (groups, positions, rows)
        """
        assert self.beside is not None
        assert self.layer.beside is not None
        linear = self.layer.beside.linear
        of_float, of_quantized = (
            linear.columns(each, at, linear.output_shape(each.shape, weight.shape))
            @ linear.matrix(weight).transpose(0, 2, 1)
            for each, weight in zip(values, self.beside, strict=True)
        )  # (its groups, positions, its rows)
        change = (of_float - of_quantized).transpose(1, 0, 2).reshape(of_float.shape[1], -1)
        change = np.where(self.layer.beside.channels, change, 0)
        by_group = change.reshape(len(change), self.shape[0], -1).transpose(1, 0, 2)
        return np.ascontiguousarray(by_group, np.float32)


def sources_of(
    layer: Layer,
    weight: Float32Array,
    models: tuple[Runnable, Runnable],
) -> list[AtLayer]:
    """What the columns and the targets of all layers with one weight depend on.

    Args:
        layer: the first of these layers.
        weight: the float weight, in its own shape.
        models: the quantized model and the float model.
    """
    quantized, model = models
    return [
        AtLayer(use, weight, float_bias(model, use), _weights_beside(use, model, quantized))
        for use in layer.uses
    ]


def _weights_beside(
    layer: Layer, model: Runnable, quantized: Runnable
) -> tuple[Float32Array, Float32Array] | None:
    """The weight of `layer.beside` in the float model and in the quantized one; None for none."""
    if layer.beside is None:
        return None
    name = layer.beside.weight
    one, other = (initializer_values(each, [name])[name] for each in (model, quantized))
    return one, other


def output_shape(layer: Layer, weight: tuple[int, ...], tensors: Arrays) -> tuple[int, ...]:
    """The shape of a layer's output, which may be no tensor of the model.

    Args:
        layer: the layer.
        weight: the shape of its weight.
        tensors: those of the float model, by name: the output, or else the input.
    """
    if layer.output is not None:
        return tensors[layer.output].shape
    return layer.linear.output_shape(tensors[layer.given[0]].shape, weight)


def entries_of(layer: Layer, output: tuple[int, ...], batch: Batch) -> float:
    """How many entries with positions of their own a layer's output has for each sample.

    It is 1 in general, more if a sample is a whole feed, and less if the output has no axis of
    samples.

    Args:
        layer: the layer.
        output: the shape of its output for a batch.
        batch: the samples.
    """
    entries = output[0] if layer.linear.has_samples(output) else 1
    return entries / batch.size


def mean_positions(
    layer: Layer, weight: tuple[int, ...], at_first: Arrays, batches: Sequence[Batch]
) -> float:
    """How many positions a sample has at a layer's output, if they grow with its length.

    A layer that does not run on the first batch counts as one with a single position.

    Args:
        layer: the layer.
        weight: the shape of its weight.
        at_first: the tensors of the first batch, by name.
        batches: the samples.
    """
    shape, first = output_shape(layer, weight, at_first), batches[0]
    positions = max(1, layer.linear.positions(shape)) * entries_of(layer, shape, first)
    return max(positions, 1 / first.size) * mean_length(batches) / first.length


def shape_at(source: AtLayer, tensors: Arrays) -> tuple[int, ...]:
    """The shape of the layer's output in a batch; `tensors` are those of the float model."""
    return output_shape(source.layer, source.weight.shape, tensors)


def has_positions(source: AtLayer, tensors: Arrays, targets: Arrays) -> bool:
    """Whether input and output have the axes of the layer, and there are positions.

    Args:
        source: the layer.
        tensors: of the quantized model, of one batch.
        targets: of the float model.
    """
    linear, output = source.layer.linear, shape_at(source, targets)
    fits = linear.fits(tensors[source.layer.input].shape, output, source.weight.shape)
    return fits and 0 not in output and linear.positions(output) > 0


def is_residual(source: AtLayer, tensors: Arrays, targets: Arrays) -> bool:
    """Whether the output is a branch of a sum of its own shape, and nothing is broadcast.

    The arguments are those of `has_positions`.
    """
    layer = source.layer
    if layer.other is None:
        return False
    shapes = {tensors[layer.other].shape, shape_at(source, targets)}
    return len(shapes if layer.sum is None else shapes | {targets[layer.sum].shape}) == 1


def positions_of(source: AtLayer, targets: Arrays, wanted: float) -> tuple[int, int]:
    """The positions of each sample, and how many of them are taken: about `wanted`, at least 1.

    Args:
        source: the layer.
        targets: of the float model.
        wanted: positions of each sample.
    """
    everywhere = source.layer.linear.positions(shape_at(source, targets))
    return everywhere, int(np.clip(round(wanted), 1, everywhere))


def chunk_of(
    source: AtLayer,
    batch: Batch,
    tensors: Arrays,
    targets: Arrays,
    seed: int,
    wanted: float,
    *,
    residual: bool,
    heldout: bool = False,
) -> SampleChunk:
    """The columns and targets of one batch.

    Args:
        source: the layer.
        batch: the samples.
        tensors: of the quantized model.
        targets: of the float model.
        seed: of the positions.
        wanted: about how many positions per entry.
        residual: whether the target is a residual sum.
        heldout: whether the batch only judges.
    """
    layer, shape = source.layer, shape_at(source, targets)
    everywhere, count = positions_of(source, targets, wanted)
    rng = np.random.default_rng(seed)
    entries = shape[0] if layer.linear.has_samples(shape) else 1
    if layer.gives_scores and everywhere > 1:
        whole = layer.linear.outputs(
            targets[layer.given[-1 if residual else 0]], np.arange(everywhere)
        )
        at = drawn_by_weight(slopes_of_scores(whole, entries), count, rng)
    else:
        at = drawn_positions(everywhere, count, rng)
    some: slice | Indices = slice(None)
    if entries == batch.size > batch.count:  # without the padding
        some = slice(batch.count)
    elif entries > batch.size and wanted < 1:  # a long feed, whose entries are its positions
        some = np.sort(rng.choice(entries, max(1, round(wanted * entries)), replace=False))

    def real(values: Array) -> Array:
        return values[some]

    def outputs(values: Array) -> Float32Array:
        return layer.linear.outputs(real(values), at)

    def columns(values: Array) -> Float32Array:
        return layer.linear.columns(real(values), at, shape)

    shift = None
    if residual:
        assert layer.other is not None  # as a sum has two branches
        shift = outputs(tensors[layer.other])
    if layer.output is None:
        target = source.float_outputs(columns(targets[layer.given[0]]))
        if shift is not None:
            target += outputs(targets[layer.given[1]]) - shift
        if layer.beside is not None and source.beside is not None:
            both = real(targets[layer.given[-1]]), real(tensors[layer.beside.input])
            target += source.change_beside(both, at)
    else:
        target = outputs(targets[layer.given[-1 if residual else 0]])
        if shift is not None:
            with np.errstate(invalid="ignore"):  # masks of infinity
                target = target - shift
    return SampleChunk(columns(tensors[layer.input]), target, shift, heldout)
