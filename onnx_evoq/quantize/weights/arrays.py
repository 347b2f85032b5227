"""A quantized weight as plain arrays, and back."""

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.quantize.weights.fixed_point import FixedPoint, QuantizedWeight

_NO_AXIS = -1


def arrays_of(weight: QuantizedWeight) -> Arrays:
    """The codes and the grid of a weight as arrays, by name.

    Example:
        >>> weight = QuantizedWeight(np.array([1, -2], np.int8), FixedPoint(2, np.float32(0.5)))
        >>> weight_of(arrays_of(weight)).values.tolist()
        [0.5, -1.0]
    """
    codes, grid = weight
    return {
        "codes": codes,
        "step": np.asarray(grid.step),
        "bits": np.asarray(grid.bits),
        "axis": np.asarray(_NO_AXIS if grid.axis is None else grid.axis),
        "narrow": np.asarray(grid.narrow),
    }


def weight_of(arrays: Arrays) -> QuantizedWeight:
    """The weight of some arrays that `arrays_of` gave; others beside them do not matter."""
    bits, axis = arrays["bits"], int(arrays["axis"])
    grid = FixedPoint(
        tuple(bits.tolist()) if bits.ndim else int(bits),
        np.asarray(arrays["step"], np.float32),
        None if axis == _NO_AXIS else axis,
        bool(arrays["narrow"]),
    )
    return QuantizedWeight(np.asarray(arrays["codes"], np.int8), grid)
