"""The model that a runtime computes with integers."""

import numpy as np

from onnx_evoq.activations.placement import Activations, bias_grid, place
from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.model import (
    Layer,
    Model,
    Network,
    Quantized,
    as_network,
    initializer_values,
    makers_and_readers_of,
    to_model,
    weights_named,
)
from onnx_evoq.score import IntegerTensor

_MOST = 2**30  # units of a bias, half of what 32 bits hold
_TINY = 1e-300


def float_model_of(activations: Activations, network: Network, quantized: Quantized) -> Model:
    """The model with float activations, whose weights lie on their grids in sight of integer ones.

    Args:
        activations: the places and the grids of the activations.
        network: the simulated model, with the biases that go with the codes.
        quantized: codes and grid by weight.
    """
    known = {tensor.name for tensor in activations.float_model.graph.initializer}
    biases = {name: value for name, value in network.values.items() if name in known}
    floats = as_network(activations.float_model).with_values({**biases, **quantized})
    return to_model(floats)


def integer_model(activations: Activations, network: Network, quantized: Quantized) -> Model:
    """Integer weights and activations, and biases of 32 bits.

    Args:
        activations: the places and the grids of the activations.
        network: the simulated model, with the biases that go with the codes.
        quantized: codes and grid by weight.
    """
    model = float_model_of(activations, network, quantized)
    staying = list(activations.float_nodes)
    steps = {n: np.asarray(weight.grid.step, np.float64) for n, weight in quantized.items()}
    wide = activations.target.biases != "int8"
    least_steps = _least_steps(activations, model, quantized) if wide else {}
    for name, least in least_steps.items():
        if steps[name].ndim and least.size == steps[name].size:  # else groups share steps
            small = steps[name] < least
            steps[name] = np.where(
                small, 2.0 ** np.ceil(np.log2(np.maximum(least, _TINY))), steps[name]
            )
        elif (steps[name] < least.max(initial=0.0)).any():
            staying += makers_and_readers_of(model, [name])
    weights = {
        name: IntegerTensor(steps[name].astype(np.float32), np.array(0, np.int8), weight.grid.axis)
        for name, weight in quantized.items()
    }
    if activations.target.biases == "int8":
        weights |= _narrow_biases(activations, model, quantized)
    grids = {t.name: activations.grids[t.scale] for t in activations.tensors}
    return place(model, grids, weights, staying, activations.target)


def _narrow_biases(
    activations: Activations, model: Model, quantized: Quantized
) -> dict[str, IntegerTensor]:
    """The biases of the layers, of 8 bits with a step of their own."""
    _, biases = _layers_and_biases(activations, model, quantized)
    return {
        name: IntegerTensor(np.asarray(bias_grid(bias.reshape(-1)).step), np.array(0, np.int8))
        for name, bias in biases.items()
    }


def _least_steps(
    activations: Activations, model: Model, quantized: Quantized
) -> dict[str, Float64Array]:
    """The least step of each channel at which 32 bits hold its bias, in units of ``s_x s_w``.

    A channel that is all but dead has far smaller weights, where each has a step of its own. With
    the least step its codes are 0, or nearly so. With one step for all, the layer stays float.
    """
    scales = {t.dequantized: activations.grids[t.scale].scale for t in activations.tensors}
    layers, biases = _layers_and_biases(activations, model, quantized)
    return {
        name: np.abs(biases[layer.bias].reshape(-1).astype(np.float64))
        / (_MOST * scales[layer.input])
        for name, layer in layers.items()
        if layer.bias is not None and layer.input in scales
    }


def _layers_and_biases(
    activations: Activations, model: Model, quantized: Quantized
) -> tuple[dict[str, Layer], dict[str, Float32Array]]:
    """The layers of the quantized weights by weight, and the values of their biases by name."""
    layers = activations.layers(weights_named(model, quantized))
    names = [layer.bias for layer in layers.values() if layer.bias is not None]
    return layers, initializer_values(model, names)
