"""The activations at the layers of a model, where its samples are: here, or with workers.

They may be asked for at any layer at any time, but it costs least in the order of the graph.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from onnx_evoq.batch import Batch
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.cuts import CutWalk, Shards
from onnx_evoq.engine.frontier import gather_on_workers
from onnx_evoq.engine.layer_tensors import LayerTensors, SentTensors
from onnx_evoq.engine.samples import (
    POSITIONS,
    Around,
    batches_of_section,
    gather_samples,
    sources_of,
)
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Layer, Runnable, Weight, cut_at
from onnx_evoq.quantize import LayerSamples
from onnx_evoq.setup import Resources, executor_of, workers_of

_MOST_COLUMNS = 16_384  # the moments of more columns do not fit into memory


class LayerActivations:
    """The tensors at the layers of a model whose weights change one by one.

    Attributes:
        batches: the samples.
        resources: what the runs may use.

    Args:
        batches: as above.
        resources: as above; with a cluster, the activations stay with its workers.
        share: share of the memory, here or of each worker, that the activations may use.
    """

    def __init__(self, batches: Sequence[Batch], resources: Resources, share: float = 1.0) -> None:
        self.batches, self.resources, self._share = batches, resources, share
        executor = executor_of(resources)
        self._shards: Shards | None = None
        if executor.near is not executor:
            self._shards = Shards(batches, executor, batches_of_section(len(batches)))
        self.restart()

    def restart(self) -> None:
        """Forget all activations: the next ones are computed from the inputs."""
        given = self.batches, self.resources, self._share
        self._place: ActivationCache | CutWalk
        if self._shards is None:
            self._place = ActivationCache(*given)
        else:
            self._place = CutWalk(*given, self._shards)
        self._passed: deque[tuple[Runnable, str]] = deque()

    def passes(self, model: Runnable, weight: str) -> None:
        """Go past a layer as `at` would, without its tensors.

        What must be run for that is only run when a later layer is asked for. ONNX Runtime adds up
        in an order that depends on where a model is cut. So the tensors at the later layer are the
        same to the bit as if `at` had been called for this one.

        Args:
            model: the model with its present weights.
            weight: the layer's weight.
        """
        self._passed.append((model, weight))

    def at(self, model: Runnable, layer: Layer, names: Sequence[str]) -> LayerTensors | SentTensors:
        """Some tensors at a layer.

        Args:
            model: the model with its present weights.
            layer: the layer at which the model is cut.
            names: the tensors.

        Raises:
            ModelError: a tensor cannot be computed from those at the cut, or is no array.
            StorageError: a disk has no room for activations that do not fit into memory.
        """
        while self._passed:
            passed, weight = self._passed.popleft()
            with suppress(ModelError):  # as where it was first tried
                self._place.crossing(passed, cut_at(passed, weight))
        if isinstance(self._place, CutWalk):
            return SentTensors(self._place, model, layer, names, self.batches)
        return LayerTensors(self._place, model, layer, names, self.batches)


def gather_at(
    model: Runnable,
    quantized: Runnable,
    weight: Weight,
    layer: Layer,
    activations: tuple[LayerActivations, LayerActivations],
    rng: np.random.Generator,
    positions: int = POSITIONS,
) -> LayerSamples | None:
    """Gather a layer's columns and targets.

    Args:
        model: the float model, which gives the targets.
        quantized: the model with the weights before the layer quantized, which gives the columns.
        weight: the layer's weight.
        layer: the layer.
        activations: those of `quantized` and of `model`, for the same samples.
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
    sources = sources_of(layer, weight.values, (quantized, model))
    try:
        tensors = activations[0].at(quantized, layer, layer.read_by_all)
        targets = activations[1].at(model, layer, layer.given_by_all)
        around = Around(tensors, targets, activations[0].batches)
        if isinstance(tensors, SentTensors) and isinstance(targets, SentTensors):
            stages = tensors.stages, targets.stages
            return gather_on_workers(sources, around, stages, tensors.shards, rng, positions)
        workers = workers_of(activations[0].resources)
        return gather_samples(sources, around, rng, positions, workers)
    except ModelError:  # a tensor is no array
        return None
