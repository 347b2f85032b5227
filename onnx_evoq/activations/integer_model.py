"""The model that a runtime computes with integers."""

import numpy as np

from onnx_evoq.activations.placement import Activations, place
from onnx_evoq.model import (
    Model,
    Network,
    Quantized,
    as_network,
    initializer_values,
    to_model,
    weights_named,
)
from onnx_evoq.score import IntegerTensor

_MOST = 2**30  # units of a bias, half of what 32 bits hold


def integer_model(activations: Activations, network: Network, quantized: Quantized) -> Model:
    """Integer weights and activations, and biases of 32 bits.

    Args:
        activations: the places and the grids of the activations.
        network: the simulated model, with the biases that go with the codes.
        quantized: codes and grid by weight.
    """
    known = {tensor.name for tensor in activations.float_model.graph.initializer}
    biases = {name: value for name, value in network.values.items() if name in known}
    floats = as_network(activations.float_model).with_values({**biases, **quantized})
    weights = {
        name: IntegerTensor(
            np.asarray(weight.grid.step, np.float32), np.array(0, np.int8), weight.grid.axis
        )
        for name, weight in quantized.items()
    }
    grids = {t.name: activations.grids[t.scale] for t in activations.tensors}
    model = to_model(floats)
    staying = [*activations.float_nodes, *_overflowing(activations, model, quantized)]
    return place(model, grids, weights, staying)


def _overflowing(activations: Activations, model: Model, quantized: Quantized) -> list[str]:
    """The nodes whose bias 32 bits cannot hold in units of ``s_x s_w``; they stay float.

    A channel whose weights are nearly 0 has such a small step, where each has its own.
    """
    scales = {t.dequantized: activations.grids[t.scale].scale for t in activations.tensors}
    biases = activations.layers(weights_named(model, quantized))
    values = initializer_values(model, [b.bias for b in biases.values() if b.bias is not None])
    names = []
    for name, layer in biases.items():
        if layer.bias is None or layer.input not in scales or name not in quantized:
            continue
        unit = scales[layer.input] * np.asarray(quantized[name].grid.step, np.float64).reshape(-1)
        bias = values[layer.bias].reshape(-1)
        if bias.size % unit.size or (np.abs(bias).reshape(-1, unit.size) >= _MOST * unit).any():
            names.append(name)
    return [node.name for node in model.graph.node if not set(names).isdisjoint(node.input)]
