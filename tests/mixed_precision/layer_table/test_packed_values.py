"""Floats of which few differ, in fewer bits."""

import numpy as np
import pytest

from onnx_evoq.array_types import Float32Array
from onnx_evoq.mixed_precision.layer_table.packed_values import packed, unpacked

CODES = np.random.default_rng(0).integers(-7, 8, (6, 5, 4))
VALUES = {
    "one step": (CODES * 0.25).astype(np.float32),
    "a step per channel": (CODES * np.array([0.1, 0.2, 0.3, 0.5])).astype(np.float32),
    "all alike": np.full((40, 2), 0.3, np.float32),
    "zeros of both signs": np.array([0.0, -0.0, np.nan, np.inf] * 9, np.float32),
    "by columns": np.asfortranarray(CODES[0] * 0.25, np.float32),
    "neither": (CODES * 0.25).astype(np.float32)[:, ::2, ::-1],
    "all different": np.linspace(0, 1, 50, dtype=np.float32),
    "none": np.zeros((0, 3), np.float32),
    "one": np.array(2.5, np.float32),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_values_come_back_to_the_bit_and_in_their_order(values: Float32Array) -> None:
    found = unpacked(packed(values), values.shape)
    assert found.dtype == np.float32
    assert (found.shape, found.tobytes()) == (values.shape, values.tobytes())
    assert found.flags.fnc == values.flags.fnc


@pytest.mark.parametrize(("levels", "bits"), [(1, 0), (2, 1), (15, 4), (16, 4), (17, 5), (300, 9)])
def test_each_value_takes_as_many_bits_as_the_table_needs(levels: int, bits: int) -> None:
    values = np.arange(4000, dtype=np.float32) % levels
    arrays = packed(values)
    assert arrays["table"].size == levels
    assert arrays["places"].nbytes == 4000 * bits / 8
    assert unpacked(arrays, (4000,)).tolist() == values.tolist()


def test_what_a_table_would_not_shorten_stays_as_it_is() -> None:
    assert list(packed(VALUES["all different"])) == ["plain"]
