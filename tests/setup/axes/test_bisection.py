"""Lengths at which a function has some value."""

import pytest

from onnx_evoq.setup.axes.bisection import lengths_with, roundest


def strided(length: int) -> int | None:
    """The rows behind a stride of 32; below 64 pixels a model cannot say."""
    return length // 32 if length >= 64 else None


@pytest.mark.parametrize(
    ("value", "lengths"), [(7, (224, 255)), (2, (64, 95)), (1, None), (1 << 20, None)]
)
def test_all_lengths_with_a_value_are_found(value: int, lengths: tuple[int, int] | None) -> None:
    assert lengths_with(value, strided, 128) == lengths


def test_values_that_are_left_out_are_not_found() -> None:
    assert lengths_with(7, lambda n: 2 * n, 128) is None
    assert lengths_with(8, lambda n: 2 * n, 128) == (4, 4)


@pytest.mark.parametrize(
    ("first", "last", "number"), [(224, 255, 224), (193, 250, 224), (187, 190, 188), (5, 5, 5)]
)
def test_round_numbers_are_divisible_by_powers_of_two(first: int, last: int, number: int) -> None:
    assert roundest(first, last) == number
