"""The values of the biases of layers, and of other initializers."""

from collections.abc import Iterable

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.graph import Runnable, as_network
from onnx_evoq.model.layers.layer import Layer


def float_bias(model: Runnable, layer: Layer) -> Float32Array | None:
    """The bias of a layer whose output is no tensor, as its targets need it; else None."""
    if layer.output is not None or layer.bias is None:
        return None
    return _bias_in(layer, initializer_values(model, [layer.bias])[layer.bias])


def bias_values(model: Runnable, layer: Layer, bias: Float32Array) -> Float32Array:
    """The values of the initializer that holds the bias of a layer, for another bias.

    Args:
        model: the model with the present values.
        layer: the layer, which has a bias.
        bias: (channels,), the other bias.
    """
    if layer.bias is None or layer.half_bias is None:
        return bias
    values = initializer_values(model, [layer.bias])[layer.bias].copy()
    halves = values.reshape(len(values), 2, -1)  # (directions, 2, rows)
    change = bias - _bias_in(layer, values)
    halves[:, layer.half_bias.half] += change.reshape(len(values), -1)
    return values


def _bias_in(layer: Layer, values: Float32Array) -> Float32Array:
    """(channels,), the bias of a layer among the values of its initializer."""
    if layer.half_bias is None:
        return values.reshape(-1)
    halves = values.reshape(len(values), 2, -1)  # (directions, 2, rows)
    own, other = halves[:, layer.half_bias.half], halves[:, 1 - layer.half_bias.half]
    return np.asarray(own.ravel() + np.where(layer.half_bias.both, other.ravel(), 0), np.float32)


def initializer_values(model: Runnable, names: Iterable[str]) -> dict[str, Float32Array]:
    """The values of initializers, as float32 in their shapes, by name."""
    chosen, network = set(names), as_network(model)
    return {
        tensor.name: np.asarray(network.value(tensor), np.float32)
        for tensor in model.graph.initializer
        if tensor.name in chosen
    }
