"""Gather the columns that a layer multiplies, and the targets of its output, over all batches.

The columns come from the model with the weights before the layer quantized, the targets from the
float model. If the layer's output is one branch of a residual sum, the target is the float model's
sum minus the quantized model's other branch.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float32Array
from onnx_evoq.batch import Batch
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.layer_tensors import LayerTensors
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Model, Weight
from onnx_evoq.quantize import LayerSamples, SampleChunk

POSITIONS = 98_304  # the most positions of all samples together that moments are gathered from
_MOMENT_PRODUCTS = 2e11  # the most products per matrix, which wide layers pay with fewer positions
_KEPT_VALUES = 2**26  # the most values of columns and targets that are kept
_CHUNK_VALUES = 2**22  # values of columns that are gathered at a time
_MOST_COLUMNS = 16_384  # the moments of more columns do not fit into memory


def gather_samples(
    model: Model,
    quantized: Model,
    weight: Weight,
    layer: Layer,
    caches: Sequence[ActivationCache],
    batches: Sequence[Batch],
    rng: np.random.Generator,
    positions: int = POSITIONS,
) -> LayerSamples | None:
    """Gather a layer's columns and targets at positions drawn at random.

    Args:
        model: the float model, which gives the targets.
        quantized: the model with the weights before the layer quantized, which gives the columns.
        weight: the layer's weight.
        layer: the layer.
        caches: the activation caches of `quantized` and of `model`.
        batches: the samples.
        rng: draws positions, the same for all samples of a batch.
        positions: the most positions of all samples together.

    Returns:
        The columns and targets. None if a tensor is no array, does not hold one entry per sample
        along its first axis, or is not finite, and if the layer has too many columns.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    groups, rows, width = layer.linear.matrix(weight.values).shape
    if width > _MOST_COLUMNS:
        return None
    sum_names = [] if layer.sum is None else [layer.sum]
    other_names = [] if layer.other is None else [layer.other]
    try:
        inputs = LayerTensors(caches[0], quantized, layer, [layer.input, *other_names], batches)
        outputs = LayerTensors(caches[1], model, layer, [layer.output, *sum_names], batches)
    except ModelError:  # a tensor is no array
        return None
    samples = sum(batch.count for batch in batches)
    at_most = min(positions, _MOMENT_PRODUCTS / width**2)
    if layer.activation is not None:  # columns and targets are kept
        at_most = min(at_most, _KEPT_VALUES / (groups * (width + 2 * rows)))
    # The activation behind a sum reads the sum, which is the target of a residual branch only.
    residual = _is_residual(layer, inputs.of(0), outputs.of(0))
    sees_activation = layer.sum is None or residual
    gathered = LayerSamples(layer.bias is not None, layer.activation if sees_activation else None)
    for index, batch in enumerate(batches):
        tensors, targets = inputs.of(index), outputs.of(index)
        values = tensors[layer.input]
        target, shift = _target(layer, tensors, targets, residual)
        if not layer.linear.has_samples(values.shape) or len(values) != len(target):
            return None
        everywhere = layer.linear.positions(target.shape)
        if not everywhere:
            return None
        count = int(np.clip(round(at_most / samples), 1, everywhere))
        at = np.sort(rng.choice(everywhere, count, replace=False, shuffle=False))
        real = batch.count if len(values) == batch.size else len(values)
        # There are at least two chunks, since moments are kept in two folds.
        at_once = min(max(1, _CHUNK_VALUES // (groups * width * count)), -(-real // 2))
        for start in range(0, real, at_once):
            chunk_rows = slice(start, min(start + at_once, real))
            chunk = SampleChunk(
                layer.linear.columns(values[chunk_rows], at, target.shape),
                layer.linear.outputs(target[chunk_rows], at),
                None if shift is None else layer.linear.outputs(shift[chunk_rows], at),
            )
            with np.errstate(over="ignore", invalid="ignore"):
                gathered.add(chunk)
    return gathered if gathered.sums.finite else None


def _is_residual(layer: Layer, tensors: Arrays, targets: Arrays) -> bool:
    """Whether the output is a branch of a sum of its own shape, and nothing is broadcast."""
    if layer.sum is None:
        return False
    assert layer.other is not None  # as a sum has two branches
    shapes = {tensors[layer.other].shape, targets[layer.output].shape, targets[layer.sum].shape}
    return len(shapes) == 1


def _target(
    layer: Layer, tensors: Arrays, targets: Arrays, residual: bool
) -> tuple[Float32Array, Array | None]:
    """The target of the layer's output, and the other branch that is added to it, or None."""
    if not residual:
        return np.asarray(targets[layer.output], np.float32), None
    assert layer.sum is not None
    assert layer.other is not None
    other = np.asarray(tensors[layer.other], np.float32)
    with np.errstate(invalid="ignore"):  # masks of infinity
        return np.asarray(targets[layer.sum], np.float32) - other, other
