"""Reconstruct a whole model layer by layer, in the graph's order and in closed form.

1. A layer's columns come from the model with the weights before it quantized, its targets from the
   float model. So each layer compensates for the errors of the layers before it.
2. If the output is one branch of a residual sum, the target is the float model's sum minus the
   other branch of the quantized model. So the layer compensates for the errors of that branch, too.
3. The codes of a layer follow from second moments of columns and targets, gathered over batches at
   positions drawn at random. Errors that the activation behind the layer hides do not count. The
   bias absorbs the mean error that is left.
4. A weight without a closed form (a table, a recurrent layer, a weight that several nodes read) is
   rounded to the nearest codes.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.engine import POSITIONS, ActivationCache, gather_samples
from onnx_evoq.model import Model, find_layers, own_biases, replace_weights, with_codes
from onnx_evoq.quantize import (
    GridSpec,
    LayerReconstruction,
    QuantizedWeight,
    reconstruct_with_activation,
)
from onnx_evoq.setup import Task, axis_of_steps, nearest_of


@dataclass(frozen=True)
class QuantizedModel:
    """A model whose weights are quantized.

    Attributes:
        model: the float model with the corrected biases.
        quantized: the codes and the grid of each weight, by name.
        layers: the reconstruction of each weight with a closed form, by name.
        nearest: the names of the other weights, which are rounded to the nearest codes.
    """

    model: Model
    quantized: dict[str, QuantizedWeight]
    layers: dict[str, LayerReconstruction]
    nearest: tuple[str, ...]

    @cached_property
    def as_float(self) -> Model:
        """The model with the values of the codes as its weights."""
        return with_codes(self.model, self.quantized)


def reconstruct_layers(
    task: Task, rng: np.random.Generator, with_activations: bool = True, positions: int = POSITIONS
) -> QuantizedModel:
    """Quantize all weights, each so that its layer's output changes least on the search set.

    Args:
        task: the task; labels, the held-out set and the deadline are not used.
        rng: draws the positions that moments are gathered from.
        with_activations: whether errors count only as far as the activation behind a layer lets
            them through.
        positions: the most positions of all samples together that moments are gathered from.
    """
    bits, granularity, scale = task.bits, task.granularity, task.scale
    batches = task.search_set.batches
    model = own_biases(task.model, bits)
    layers = find_layers(model, task.weights)
    if not with_activations:
        layers = {name: replace(layer, activation=None) for name, layer in layers.items()}
    caches = [ActivationCache(batches, task.resources, share=0.25) for _ in range(2)]
    so_far, quantized = model, dict[str, QuantizedWeight]()
    biases, reconstructions = dict[str, Float32Array](), dict[str, LayerReconstruction]()
    with task.progress("reconstructing", len(task.weights)) as step:
        for weight in task.weights:
            name, axis = weight.name, axis_of_steps(weight, granularity)
            spec = GridSpec(bits[name], axis, scale, weight.dtype)
            samples = None
            if name in layers:
                samples = gather_samples(
                    model, so_far, weight, layers[name], caches, batches, rng, positions
                )
            if samples is None:
                quantized.update(nearest_of([weight], bits, granularity, scale))
            else:
                layer = layers[name]
                reconstructions[name] = reconstruct_with_activation(
                    weight.values, layer.linear, samples, spec
                )
                quantized[name] = reconstructions[name].quantized
                if layer.bias is not None:
                    biases[layer.bias] = reconstructions[name].bias
            so_far = replace_weights(with_codes(so_far, {name: quantized[name]}), biases)
            step(1)
    rounded_to_nearest = tuple(name for name in quantized if name not in reconstructions)
    corrected = replace_weights(model, biases)
    return QuantizedModel(corrected, quantized, reconstructions, rounded_to_nearest)
