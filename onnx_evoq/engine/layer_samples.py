"""Samples of what a layer reads and of what it should give, gathered over batches.

The columns come from the model as it is quantized so far, the targets from the float model. Where
the layer's output goes into a residual sum, the target is the float model's sum less the quantized
model's other branch.
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

POSITIONS = 98_304  # of all samples, at most, that moments are gathered from
_WORK = 2e11  # products per matrix, at most, however many positions that leaves
_MOST = 2**26  # values of columns and targets that are held
_CHUNK = 2**22  # values of columns that are gathered at a time
_MOST_COLUMNS = 16_384  # whose moments fit into memory


def gather_samples(
    model: Model,
    so_far: Model,
    weight: Weight,
    layer: Layer,
    caches: Sequence[ActivationCache],
    batches: Sequence[Batch],
    rng: np.random.Generator,
    positions: int = POSITIONS,
) -> LayerSamples | None:
    """Gather a layer's columns and targets.

    Args:
        model: the float model, which gives the targets.
        so_far: the model that gives the columns.
        weight: the layer's weight.
        layer: the layer.
        caches: the activations of `so_far` and of `model`.
        batches: the samples.
        rng: draws positions, the same for all samples of a batch.
        positions: of all samples, at most, that are looked at.

    Returns:
        The samples; None where a tensor is no array, has no samples along its first axis, or is
        not finite, and where the layer has too many columns.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    groups, rows, width = layer.linear.matrix(weight.values).shape
    if width > _MOST_COLUMNS:
        return None
    wanted = [layer.output] if layer.sum is None else [layer.output, layer.sum]
    read = [layer.input] if layer.other is None else [layer.input, layer.other]
    try:
        ours = LayerTensors(caches[0], so_far, layer, read, batches)
        floats = LayerTensors(caches[1], model, layer, wanted, batches)
    except ModelError:  # a tensor at the cut is no array
        return None
    samples = sum(batch.count for batch in batches)
    at_most = min(positions, _WORK / width**2)
    if layer.activation is not None:  # columns and targets are kept
        at_most = min(at_most, _MOST / (groups * (width + 2 * rows)))
    # The activation behind a sum reads the sum, which only a residual branch has as its target.
    residual = _is_residual(layer, ours.of(0), floats.of(0))
    sees_activation = layer.sum is None or residual
    found = LayerSamples(layer.bias is not None, layer.activation if sees_activation else None)
    for index, batch in enumerate(batches):
        tensors, targets = ours.of(index), floats.of(index)
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
        # At least two chunks, so that there are two folds.
        at_once = min(max(1, _CHUNK // (groups * width * count)), -(-real // 2))
        for start in range(0, real, at_once):
            some = slice(start, min(start + at_once, real))
            chunk = SampleChunk(
                layer.linear.columns(values[some], at, target.shape),
                layer.linear.outputs(target[some], at),
                None if shift is None else layer.linear.outputs(shift[some], at),
            )
            with np.errstate(over="ignore", invalid="ignore"):
                found.add(chunk)
    return found if found.sums.finite else None


def _is_residual(layer: Layer, tensors: Arrays, targets: Arrays) -> bool:
    """Whether the output is one branch of a sum: a branch that is broadcast is none."""
    if layer.sum is None or layer.other is None:
        return False
    shapes = {tensors[layer.other].shape, targets[layer.output].shape, targets[layer.sum].shape}
    return len(shapes) == 1


def _target(
    layer: Layer, tensors: Arrays, targets: Arrays, residual: bool
) -> tuple[Float32Array, Array | None]:
    """What the layer should give, and what its output is added to before the activation."""
    if not residual or layer.sum is None or layer.other is None:
        return np.asarray(targets[layer.output], np.float32), None
    other = np.asarray(tensors[layer.other], np.float32)
    with np.errstate(invalid="ignore"):  # masks of infinity
        return np.asarray(targets[layer.sum], np.float32) - other, other
