"""The model that a runtime computes with integers."""

import numpy as np

from onnx_evoq.activations.placement import Activations, place
from onnx_evoq.model import Model, Network, Quantized, as_network, to_model
from onnx_evoq.score import IntegerTensor


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
    return place(to_model(floats), grids, weights, activations.float_nodes)
