"""Quantized weights as plain arrays."""

import numpy as np
import pytest

from onnx_evoq.quantize import FixedPoint, QuantizedWeight, arrays_of, weight_of

STEPS = np.array([0.5, 0.25], np.float32)


@pytest.mark.parametrize(
    "grid",
    [
        FixedPoint(4, np.float32(0.5)),  # type: ignore[arg-type]
        FixedPoint(8, STEPS, axis=1, narrow=True),
        FixedPoint((2, 8), STEPS, axis=1, narrow=True),
    ],
)
def test_a_weight_comes_back_as_it_was(grid: FixedPoint) -> None:
    weight = QuantizedWeight(np.array([[1, -2], [0, 1]], np.int8), grid)
    again = weight_of(arrays_of(weight))
    assert np.array_equal(again.codes, weight.codes)
    assert np.array_equal(again.values, weight.values)
    assert (again.grid.bits, again.grid.axis, again.grid.narrow) == (
        grid.bits, grid.axis, grid.narrow,
    )  # fmt: skip
    assert np.array_equal(again.grid.low, grid.low)
