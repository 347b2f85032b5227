"""The cost of moving each code of a network by +1 and by -1, comparable between layers.

1. For a reconstructed layer, the increase of its output error by each move is known from the
   reconstruction. It is divided by the layer's mean. Costs far below the mean are raised to a
   tenth of it: otherwise codes that hardly change the output would be searched first, in vain.
2. For a layer that was rounded to the nearest, it is the increase of the squared rounding error, in
   steps, together with that of the sums of rounding errors over kernels and rows
   (`quantize.cost_with_sums`).
3. For a weight without a closed form, it is the increase of the squared rounding error alone.

A negative cost says that the move lowers the error.
"""

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array
from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.model import Layer, find_layers, initializer_values
from onnx_evoq.quantize import LayerReconstruction, QuantizedWeight, cost_with_sums
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.setup import Task

Costs = tuple[NDArray[np.floating], NDArray[np.floating]]  # of +1 and of -1

_LEAST_CURVATURE = 1e-3  # of the layer's mean, for the minimum of a code's parabola
_LEAST_PRICE = 0.1  # of the layer's mean


def move_costs(
    task: Task, start: QuantizedModel, now: CodeVector
) -> tuple[Float32Array, Float32Array]:
    """Compute the cost of moving each code by +1 and by -1, (codes,) each, all finite.

    Args:
        task: the weights.
        start: the codes that the search started from, with their reconstruction.
        now: the codes that are moved.
    """
    values = initializer_values(start.model, list(now.weights))
    layers = find_layers(start.model, task.weights)
    up, down = zip(
        *(
            _costs(values[name], weight, layers.get(name), start.layers.get(name))
            for name, weight in now.weights.items()
        ),
        strict=True,
    )
    return _concatenated(up), _concatenated(down)


def _concatenated(costs: tuple[NDArray[np.floating], ...]) -> Float32Array:
    return np.concatenate([np.asarray(each, np.float32).ravel() for each in costs])


def _costs(
    values: Float32Array,
    now: QuantizedWeight,
    layer: Layer | None,
    reconstruction: LayerReconstruction | None,
) -> Costs:
    if reconstruction is not None:
        return _costs_after_reconstruction(reconstruction, now.codes)
    if layer is not None:
        return cost_with_sums(values, now, layer.linear)
    # (c ± 1 - w)² - (c - w)² = 1 ± 2 (c - w)
    slope = 2 * (now.codes - values / now.grid.steps_for(values.ndim))
    return 1 + slope, 1 - slope


def _costs_after_reconstruction(
    reconstruction: LayerReconstruction, codes: NDArray[np.integer]
) -> Costs:
    """The costs at the codes `codes`, from those at the codes of the reconstruction.

    The error is taken as a parabola in each code, p (c - a)², with curvature p and minimum a. Then
    up = p (1 + 2 (c - a)) and down = p (1 - 2 (c - a)), and p is their mean.
    """
    up, down = reconstruction.up.astype(np.float64), reconstruction.down.astype(np.float64)
    price = (up + down) / 2  # infinite where one of the two moves leaves the range
    known = np.isfinite(price)
    mean = max(float(price[known].mean()) if known.any() else 0.0, 1e-30)
    price = np.where(known, np.maximum(price, _LEAST_CURVATURE * mean), mean)
    # Where only the cost of -1 is finite, that of +1 is 2 p - down; where neither is, the code is
    # taken as the minimum.
    up = np.where(np.isfinite(up), up, 2 * price - np.where(np.isfinite(down), down, price))
    distance = (up / price - 1) / 2 + (codes - reconstruction.quantized.codes)  # c - a
    price = np.maximum(price / mean, _LEAST_PRICE)
    return price * (1 + 2 * distance), price * (1 - 2 * distance)
