"""What a report says of each weight."""

import numpy as np
import pytest
from graphs import mlp, random, rounded

from onnx_evoq.api.details.layers import codes_beside_nearest, layer_details
from onnx_evoq.model import as_network, load
from onnx_evoq.quantize import FixedPoint, QuantizedWeight, nearest

GRID = FixedPoint(3, np.float32(0.5))
VALUES = np.array([[0.4, -0.6, 1.1, -2.0]], np.float32)  # codes 1, -1, 2, -4


def details_of(codes: list[int]) -> dict[str, object]:
    return codes_beside_nearest(VALUES, QuantizedWeight(np.array([codes], np.int8), GRID))


def test_codes_are_counted_beside_those_of_nearest_rounding() -> None:
    found = details_of([1, 0, 2, -4])
    assert found["moved"] == 0.25
    assert found["codes"] == {
        "low": -4, "counts": [1, 0, 0, 0, 1, 1, 1, 0], "nearest": [1, 0, 0, 1, 0, 1, 1, 0],
    }  # fmt: skip
    assert found["steps"] == [0.5, 0.5]


def test_sqnr_is_that_of_the_weight() -> None:
    noise = 0.1**2 + 0.1**2 + 0.1**2
    expected = 10 * np.log10(float(np.square(VALUES).sum()) / noise)
    assert details_of([1, -1, 2, -4])["sqnr"] == pytest.approx(expected, rel=1e-5)


def test_a_weight_on_the_grid_has_the_largest_sqnr() -> None:
    exact = codes_beside_nearest(GRID.step * nearest(VALUES, GRID).astype(np.float32),
                                 QuantizedWeight(nearest(VALUES, GRID), GRID))  # fmt: skip
    assert exact["sqnr"] == 120
    zero = codes_beside_nearest(0 * VALUES, QuantizedWeight(np.ones((1, 4), np.int8), GRID))
    assert zero["sqnr"] == -120


def test_channels_of_several_widths_share_the_codes_of_the_widest() -> None:
    grid = FixedPoint((2, 4), np.array([0.5, 0.25], np.float32), axis=0)
    values = random(2, 6)
    found = codes_beside_nearest(values, QuantizedWeight(nearest(values, grid), grid))
    assert found["codes"]["low"] == -8
    assert len(found["codes"]["counts"]) == 16
    assert sum(found["codes"]["counts"]) == 12
    assert found["steps"] == [0.25, 0.5]


def test_each_weight_has_its_node_its_shape_and_what_it_computes_on() -> None:
    model = load(mlp())
    quantized = rounded(model, 4)
    found = layer_details(model, as_network(model), quantized, {"x"})
    assert set(found) == set(quantized)
    (first, last) = found.values()
    assert (first["op"], first["shape"], first["on"]) == ("MatMul", [4, 6], "integers")
    assert (last["op"], last["on"], last["moved"]) == ("Gemm", "floats", 0)
