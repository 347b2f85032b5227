"""What a report says of each weight: its shape, its step, and how far its codes moved."""

from collections.abc import Collection
from typing import Any

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model import (
    Layer,
    Model,
    Network,
    Quantized,
    find_layers,
    initializer_values,
    weights_named,
)
from onnx_evoq.quantize import QuantizedWeight, nearest

_MOST_DECIBELS = 120.0


def layer_details(
    model: Model, plain: Network, quantized: Quantized, integers: Collection[str]
) -> dict[str, dict[str, Any]]:
    """The details of each weight by name, as plain values.

    Args:
        model: the float model.
        plain: the same with the scales of channels that go with the codes.
        quantized: the codes.
        integers: the activations that are integers.

    Returns:
        {"op", "nodes", "shape", "steps": [lowest, highest], "on": "integers" or "floats", "sqnr":
        in dB, "moved": the share of codes that nearest rounding would choose otherwise, "codes":
        {"low": the first code, "counts", "nearest"}}.
    """
    weights = weights_named(model, quantized)
    layers, values = find_layers(model, weights), initializer_values(plain, quantized)
    return {
        weight.name: {
            "op": weight.op_type,
            "nodes": list(weight.nodes),
            "shape": list(weight.shape),
            "on": "integers" if _reads(layers.get(weight.name), integers) else "floats",
            **codes_beside_nearest(
                values[weight.name].reshape(weight.shape), quantized[weight.name]
            ),
        }
        for weight in weights
    }


def codes_beside_nearest(values: Float32Array, quantized: QuantizedWeight) -> dict[str, Any]:
    """How the codes of a weight differ from those of nearest rounding on the same grid.

    Args:
        values: of the float weight.
        quantized: its codes.
    """
    codes, grid = quantized
    rounded = nearest(values, grid)
    noise = float(np.square(values - quantized.values, dtype=np.float64).sum())
    signal = float(np.square(values, dtype=np.float64).sum())
    sqnr = _MOST_DECIBELS if not noise else 10 * np.log10(max(signal / noise, 1e-12))
    low = int(np.min(grid.low))
    size = int(np.max(grid.high)) - low + 1

    def counts(of: QuantizedWeight) -> list[int]:
        shifted = of.codes.astype(np.int16).ravel() - low
        return [int(count) for count in np.bincount(shifted, minlength=size)]

    return {
        "steps": [float(grid.step.min()), float(grid.step.max())],
        "sqnr": min(float(sqnr), _MOST_DECIBELS),
        "moved": float(np.mean(codes != rounded)),
        "codes": {
            "low": low,
            "counts": counts(quantized),
            "nearest": counts(QuantizedWeight(rounded, grid)),
        },
    }


def _reads(layer: Layer | None, integers: Collection[str]) -> bool:
    return layer is not None and layer.input in integers
