"""Weights without a closed form, rounded to the nearest code at each width.

A table may be larger than all else in a model, and its floats at all widths take seven times its
memory. So they are computed each time that they are used: from the codes, and where these take much
memory as well, from the float weight. One width at a time is in memory then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from onnx_evoq.array_blocks import release
from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.model import Weight
from onnx_evoq.quantize import FixedPoint, GridSpec, QuantizedWeight, nearest

_MOST_KEPT = 2**27  # bytes of the codes of a weight at one width


@dataclass(frozen=True, eq=False)
class NearestAtWidth:
    """A weight without a closed form at one width; it stands for a `LayerAtWidth`.

    Attributes:
        weight: its floats.
        grid: the grid of that width.
        kept: the codes on it; None if they are computed each time.
        costs: (1,), the squared error.
        bias: (0,), since it has none.
    """

    weight: Float32Array
    grid: FixedPoint
    kept: QuantizedWeight | None
    costs: Float64Array
    bias: Float32Array = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def values(self) -> Float32Array:
        """The quantized weight, float32, in the weight's shape; an array of its own."""
        return (self.kept or _rounded(self.weight, self.grid)).values


def nearest_at_widths(
    weight: Weight, specs: Sequence[GridSpec], most_kept: int = _MOST_KEPT
) -> list[NearestAtWidth]:
    """A weight rounded to the nearest code at each of several widths.

    Args:
        weight: any weight.
        specs: bits, axis, scale and type for each width.
        most_kept: bytes of the codes of a width; where they are more, they are not kept.
    """
    variants = []
    for spec in specs:
        grid = spec.fit(weight.values)
        rounded = _rounded(weight.values, grid)
        costs = np.array([_squared_error(weight.values, rounded)])
        kept = rounded if rounded.codes.nbytes <= most_kept else None
        variants.append(NearestAtWidth(weight.values, grid, kept, costs))
    return variants


def _rounded(values: Float32Array, grid: FixedPoint) -> QuantizedWeight:
    return QuantizedWeight(nearest(values, grid), grid)


def _squared_error(values: Float32Array, rounded: QuantizedWeight) -> float:
    total = 0.0
    for rows, quantized in rounded.value_blocks():
        block = values[rows]
        total += float(((quantized - block) ** 2).sum())
        release(block)
    return total
