"""The tensors around a layer of a model: its input, its output and their neighbours."""

from collections.abc import Sequence

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.engine.activation_cache import ActivationCache, BatchTensors, specs_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Model, bridge, cut_at
from onnx_evoq.setup import open_session


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
        model: Model,
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
        return {**known, **self._session.run({n: known[n] for n in self._session.inputs})}
