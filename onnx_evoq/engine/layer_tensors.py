"""The tensors around a layer of a model: its input, its output and their neighbours.

They come from an activation cache, which may be asked for any layer at any time.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.cuts import BatchTensors, run_on, specs_of
from onnx_evoq.engine.samples import POSITIONS, Around, gather_samples, sources_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Runnable, Weight, bridge, cut_at
from onnx_evoq.quantize import LayerSamples
from onnx_evoq.setup import open_session, workers_of

_MOST_COLUMNS = 16_384  # the moments of more columns do not fit into memory


class LayerTensors:
    """Computes some tensors at a layer of a model, batch by batch.

    The model is cut at the layer, and the tensors behind the cut are computed from those that
    cross it.

    Args:
        cache: the activation cache of the model.
        model: the model.
        layer: the layer at which the model is cut.
        names: the tensors to compute.
        batches: the samples.

    Raises:
        ModelError: a tensor cannot be computed from those at the cut, or is no array.
        StorageError: the disk has no room for activations that do not fit into memory.
    """

    def __init__(
        self,
        cache: ActivationCache,
        model: Runnable,
        layer: Layer,
        names: Sequence[str],
        batches: Sequence[Batch],
    ) -> None:
        crossing = cache.crossing(model, cut_at(model, layer.weight))
        self._known = BatchTensors(batches, crossing)
        known = list(self._known[0])
        missing = [name for name in names if name not in known]
        self._session = None
        if missing:
            part = bridge(model, specs_of(self._known, known), missing)
            if part is None:
                raise ModelError(f"{missing[0]!r} cannot be computed by itself.")
            self._session = open_session(part, cache.resources, f"the layer of {layer.weight!r}")

    def of(self, index: int) -> Arrays:
        """The tensors of one batch by name: the inputs, those at the cut, and those to compute."""
        known = self._known[index]
        if self._session is None:
            return known
        return {**known, **run_on(self._session, known)}


def gather_from_caches(
    model: Runnable,
    quantized: Runnable,
    weight: Weight,
    layer: Layer,
    caches: Sequence[ActivationCache],
    batches: Sequence[Batch],
    rng: np.random.Generator,
    positions: int = POSITIONS,
) -> LayerSamples | None:
    """Gather a layer's columns and targets, with the tensors from activation caches.

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
        As for `gather_samples`; None, too, if a tensor is no array, or the layer has too many
        columns.

    Raises:
        StorageError: the disk has no room for activations that do not fit into memory.
    """
    if layer.linear.matrix(weight.values).shape[2] > _MOST_COLUMNS:
        return None
    try:
        tensors = (
            LayerTensors(caches[0], quantized, layer, layer.read_by_all, batches),
            LayerTensors(caches[1], model, layer, layer.given_by_all, batches),
        )
        sources = sources_of(layer, weight.values, (quantized, model))
        around = Around(*tensors, batches)
        return gather_samples(sources, around, rng, positions, workers_of(caches[0].resources))
    except ModelError:  # a tensor is no array
        return None
