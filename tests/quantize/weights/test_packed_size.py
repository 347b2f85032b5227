"""The bytes of codes and steps that are packed."""

import numpy as np
import pytest

from onnx_evoq.quantize import packed_size, packed_steps
from onnx_evoq.quantize.weights.fixed_point import FixedPoint


@pytest.mark.parametrize(
    ("count", "bits", "size"),
    [
        (0, 4, 0),
        (3, 3, 2),
        (16, 3, 6),
        (8, 8, 8),
        (6, (2, 3, 8), 4),
        (4, (2, 3), 2),
        (2, (2, 6), 1),
    ],
)
def test_packed_codes_take_their_own_bits_and_whole_bytes(
    count: int, bits: int | tuple[int, ...], size: int
) -> None:
    assert packed_size(count, bits) == size


@pytest.mark.parametrize(
    ("steps", "size"), [((0.5,), 1), ((0.5, 2.0), 2), ((0.5, 0.3), 8), ((1.0, 0.75, 0.3), 12)]
)
def test_steps_take_a_byte_each_if_all_are_powers_of_two_and_four_bytes_else(
    steps: tuple[float, ...], size: int
) -> None:
    assert packed_steps(FixedPoint(4, np.array(steps, np.float32), axis=0)) == size
