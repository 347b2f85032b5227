"""The codes of all weights as one vector, for a search over all layers together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes, Float32Array
from onnx_evoq.quantize import QuantizedWeight, dequantize


@dataclass(frozen=True, eq=False)
class CodeVector:
    """The codes of all weights, concatenated into one vector, and the grid of each weight.

    Attributes:
        weights: codes and grid by weight; the vector has the weights in this order.
    """

    weights: Mapping[str, QuantizedWeight]

    @cached_property
    def slices(self) -> dict[str, slice]:
        """The part of the vector that holds the codes of each weight."""
        slices, start = {}, 0
        for name, weight in self.weights.items():
            end = start + weight.codes.size
            slices[name] = slice(start, end)
            start = end
        return slices

    @property
    def codes(self) -> Codes:
        """(codes,) the vector."""
        return as_vector(weight.codes for weight in self.weights.values())

    @property
    def limits(self) -> tuple[Codes, Codes]:
        """(codes,) each, the smallest and the largest code that each position may have."""
        by_weight = [
            [np.broadcast_to(limit, codes.shape) for limit in grid.limits_for(codes.ndim)]
            for codes, grid in self.weights.values()
        ]
        return as_vector(low for low, _ in by_weight), as_vector(high for _, high in by_weight)

    def quantized(self, codes: Codes) -> dict[str, QuantizedWeight]:
        """Codes and grid by weight, from another vector of codes, (codes,), on the same grids."""
        return {
            name: QuantizedWeight(codes[self.slices[name]].reshape(weight.codes.shape), weight.grid)
            for name, weight in self.weights.items()
        }

    def values(self, codes: Codes) -> dict[str, Float32Array]:
        """The float values by weight, from another vector of codes, (codes,)."""
        return {name: dequantize(*weight) for name, weight in self.quantized(codes).items()}


def as_vector(parts: Iterable[NDArray[Any]]) -> Codes:
    """Flatten arrays of codes and concatenate them, (codes,)."""
    return np.concatenate([np.asarray(part, np.int8).ravel() for part in parts])
