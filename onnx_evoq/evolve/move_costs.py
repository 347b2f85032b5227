"""How sure each code of a network is: what moving it costs, so that layers compare.

1. Of a reconstructed layer, what +1 and -1 add to the error of its output is known. It is divided
   by the layer's mean; what is far below that is lifted, since codes that hardly matter would be
   the first to be searched, and for nothing.
2. Of a layer that was rounded, it is the squared distance to the other codes, in steps, and the
   sums of errors over kernels and rows (`quantize.sums`).
3. Of a weight without a closed form, it is the squared distance.
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array
from onnx_evoq.evolve.code_vector import CodeVector
from onnx_evoq.model import Layer, find_layers, initializer_values
from onnx_evoq.quantize import QuantizedWeight, Reconstruction, cost_with_sums
from onnx_evoq.reconstruct import Reconstructed
from onnx_evoq.setup import Task

Costs = tuple[NDArray[np.floating], NDArray[np.floating]]

_LEAST = 0.1  # of a layer's mean price


def move_costs(
    task: Task, start: Reconstructed, now: CodeVector
) -> tuple[Float32Array, Float32Array]:
    """What moving each code by +1 and by -1 costs, (codes,) each; finite.

    Args:
        task: what there is to do.
        start: where the codes come from.
        now: the codes as they are.
    """
    values = initializer_values(start.model, list(now.weights))
    layers = find_layers(start.model, task.weights)
    both = [
        _costs(values[name], weight, layers.get(name), start.layers.get(name))
        for name, weight in now.weights.items()
    ]
    up, down = (
        np.concatenate([np.asarray(each[k], np.float32).ravel() for each in both]) for k in (0, 1)
    )
    return up, down


def _costs(
    values: Float32Array, now: QuantizedWeight, layer: Layer | None, found: Reconstruction | None
) -> Costs:
    if found is not None:
        return _reconstructed(found, now)
    if layer is not None:
        return cost_with_sums(values, now, layer.linear)
    away = 2 * (now.codes - values / now.grid.steps_for(values.ndim))
    return 1 + away, 1 - away


def _reconstructed(found: Reconstruction, now: QuantizedWeight) -> Costs:
    """The costs where the codes are now; of a quadratic that goes through those at the start."""
    up, down = found.up.astype(np.float64), found.down.astype(np.float64)
    price = (up + down) / 2  # infinite where one of the two codes does not exist
    known = np.isfinite(price)
    mean = max(float(price[known].mean()) if known.any() else 0.0, 1e-30)
    price = np.where(known, np.maximum(price, 1e-3 * mean), mean)
    # up = p (1 + 2 (c - a)), down = p (1 - 2 (c - a))
    only = np.where(np.isfinite(up), up, 2 * price - np.where(np.isfinite(down), down, price))
    away = (only / price - 1) / 2 + (now.codes - found.quantized.codes)
    price = np.maximum(price / mean, _LEAST)
    return price * (1 + 2 * away), price * (1 - 2 * away)
