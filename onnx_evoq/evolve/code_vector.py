"""The codes of all weights as one vector, for searches that know no layers."""

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
    """All weights, one behind the other.

    Attributes:
        weights: codes and grid by name; the codes are those of a start.
    """

    weights: Mapping[str, QuantizedWeight]

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each weight lies."""
        ends = np.cumsum([weight.codes.size for weight in self.weights.values()]).tolist()
        starts = [0, *ends[:-1]]
        return {
            name: slice(*ends_of)
            for name, ends_of in zip(self.weights, zip(starts, ends, strict=True), strict=True)
        }

    @property
    def codes(self) -> Codes:
        """(codes,) those of the start."""
        return as_vector(weight.codes for weight in self.weights.values())

    @property
    def limits(self) -> tuple[Codes, Codes]:
        """(codes,) the smallest and the largest code of each."""
        both = [
            [np.broadcast_to(limit, codes.shape) for limit in grid.limits_for(codes.ndim)]
            for codes, grid in self.weights.values()
        ]
        return as_vector(low for low, _ in both), as_vector(high for _, high in both)

    def quantized(self, codes: Codes) -> dict[str, QuantizedWeight]:
        """Codes and grid by weight, of a vector (codes,)."""
        return {
            name: QuantizedWeight(codes[self.slices[name]].reshape(start.codes.shape), start.grid)
            for name, start in self.weights.items()
        }

    def values(self, codes: Codes) -> dict[str, Float32Array]:
        """What the codes of a vector stand for, by weight."""
        return {name: dequantize(*weight) for name, weight in self.quantized(codes).items()}


def as_vector(parts: Iterable[NDArray[Any]]) -> Codes:
    """Arrays of codes as one vector."""
    return np.concatenate([np.asarray(part, np.int8).ravel() for part in parts])
