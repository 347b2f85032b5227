"""What a layer reads and should give, gathered over batches."""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.activation_cache import ActivationCache, Known, specs_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Model, Weight, bridge, cut_at, serialize
from onnx_evoq.quantize import LayerSamples, SampleChunk
from onnx_evoq.score import Session

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
    """A layer's columns and targets; None where they cannot be had, or are not finite.

    Args:
        model: the float model, which gives the targets.
        so_far: the model that gives the columns.
        weight: the layer's weight.
        layer: the layer.
        fronts: of `so_far` and of `model`.
        batches: the samples.
        rng: draws positions, the same for all samples of a batch.
        positions: of all samples, at most, that are looked at.

    Raises:
        StorageError: the disk has no room for what does not fit into memory.
    """
    groups, rows, width = layer.linear.matrix(weight.values).shape
    if width > _MOST_COLUMNS:
        return None
    wanted = [layer.output] if layer.sum is None else [layer.output, layer.sum]
    read = [layer.input] if layer.other is None else [layer.input, layer.other]
    try:
        ours = LayerTensors(caches[0], so_far, layer, read, batches)
        floats = LayerTensors(caches[1], model, layer, wanted, batches)
    except ModelError:  # what crosses is no array
        return None
    samples = sum(batch.count for batch in batches)
    at_most = min(positions, _WORK / width**2)
    if layer.activation is not None:  # columns and targets are kept
        at_most = min(at_most, _MOST / (groups * (width + 2 * rows)))
    found = LayerSamples(layer.bias is not None, layer.activation)
    for index, batch in enumerate(batches):
        tensors, targets = ours.of(index), floats.of(index)
        values, target = tensors[layer.input], np.asarray(targets[layer.output], np.float32)
        shift = None
        # A branch that is spread over a larger sum, or the other way round, is no residual.
        if layer.sum is not None and layer.other is not None:
            other = np.asarray(tensors[layer.other], np.float32)
            if other.shape == target.shape == targets[layer.sum].shape:
                with np.errstate(invalid="ignore"):  # masks of infinity
                    target = np.asarray(targets[layer.sum], np.float32) - other
                shift = other
            else:
                found.activation = None  # what it reads is the sum
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


class LayerTensors:
    """Tensors at a layer of a model, batch by batch.

    Args:
        front: what crosses cuts through the model.
        model: the model.
        layer: where it is cut.
        names: the tensors that are wanted.
        batches: what the model is fed.
    """

    def __init__(
        self,
        cache: ActivationCache,
        model: Model,
        layer: Layer,
        names: Sequence[str],
        batches: Sequence[Batch],
    ) -> None:
        self._known = Known(batches, cache.crossing(model, cut_at(model, layer.weight)))
        known = list(self._known[0])
        missing = [name for name in names if name not in known]
        self._session = None
        if missing:
            part = bridge(model, specs_of(self._known, known), missing)
            if part is None:
                raise ModelError(f"{missing[0]!r} cannot be computed by itself.")
            self._session = Session(serialize(part), f"the layer of {layer.weight!r}")

    def of(self, index: int) -> Arrays:
        """The tensors of one batch, by name."""
        known = self._known[index]
        if self._session is None:
            return known
        return {**known, **self._session.run({n: known[n] for n in self._session.inputs})}
