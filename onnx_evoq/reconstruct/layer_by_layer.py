"""Reconstruction of a whole model: layer by layer in the graph's order, in closed form.

1. A layer's columns come from the model as quantized so far, its targets from the float model: so
   each layer makes up for what those before it lost.
2. Where the output goes into a residual sum, the target is the float model's sum less the other
   branch of the quantized model, so that the layer repairs that branch, too.
3. Each layer's codes follow from second moments (`quantize.reconstruct`), gathered over batches at
   positions drawn at random, in sight of the activation behind it (`quantize.activation`), and its
   bias absorbs what is left of the mean.
4. A weight without a closed form (a table, a recurrent layer, one that several nodes read) is
   rounded to the nearest.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.engine import POSITIONS, ActivationCache, gather_samples
from onnx_evoq.model import Model, find_layers, own_biases, replace_weights, with_codes
from onnx_evoq.quantize import (
    GridSpec,
    QuantizedWeight,
    Reconstruction,
    nearest,
    reconstruct_with_activation,
)
from onnx_evoq.setup import Task, axis_of_steps


@dataclass(frozen=True)
class Reconstructed:
    """A model on its grid.

    Attributes:
        model: the float model with the biases that go with the codes.
        quantized: codes and grid by weight.
        layers: what was found for each weight with a closed form.
        nearest: the other weights.
    """

    model: Model
    quantized: dict[str, QuantizedWeight]
    layers: dict[str, Reconstruction]
    nearest: tuple[str, ...]

    @cached_property
    def emitted(self) -> Model:
        """The model with what its codes stand for."""
        return with_codes(self.model, self.quantized)


def reconstruct_layers(
    task: Task, rng: np.random.Generator, with_activations: bool = True, positions: int = POSITIONS
) -> Reconstructed:
    """Quantize all weights, each so that it keeps its layer's output on the search set.

    Args:
        task: what there is to do; labels, the held-out set and the deadline play no part.
        rng: draws positions.
        behind: whether what the activation behind a layer hides of its errors is left to it.
        positions: of all samples, at most, that moments are gathered from.
    """
    bits, scale, batches = task.bits, task.scale, task.search_set.batches
    model = own_biases(task.model, bits)
    layers = find_layers(model, task.weights)
    if not with_activations:
        layers = {name: replace(layer, activation=None) for name, layer in layers.items()}
    caches = [ActivationCache(batches, task.resources, share=0.25) for _ in range(2)]
    so_far, quantized = model, dict[str, QuantizedWeight]()
    biases, found = dict[str, Float32Array](), dict[str, Reconstruction]()
    with task.progress("reconstructing", len(task.weights)) as step:
        for weight in task.weights:
            name, axis = weight.name, axis_of_steps(weight, task.granularity)
            spec = GridSpec(bits[name], axis, scale, weight.dtype)
            samples = None
            if name in layers:
                samples = gather_samples(
                    model, so_far, weight, layers[name], caches, batches, rng, positions
                )
            if samples is None:
                grid = spec.fit(weight.values)
                quantized[name] = QuantizedWeight(nearest(weight.values, grid), grid)
            else:
                layer = layers[name]
                found[name] = reconstruct_with_activation(
                    weight.values, layer.linear, samples, spec
                )
                quantized[name] = found[name].quantized
                if layer.bias is not None:
                    biases[layer.bias] = found[name].bias
            so_far = replace_weights(with_codes(so_far, {name: quantized[name]}), biases)
            step(1)
    without = tuple(name for name in quantized if name not in found)
    return Reconstructed(replace_weights(model, biases), quantized, found, without)
