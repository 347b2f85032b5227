"""The grid of an activation: its codes by hand, and its scale against all others."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize import ActivationGrid, CodeType, at_scale, best_activation_grid


def test_unsigned_codes_start_at_0() -> None:
    grid = ActivationGrid(0.25, 4, signed=False)
    assert (grid.low, grid.high, grid.zero_point, grid.container) == (0, 15, 0, 8)
    assert grid.values(np.array([-1.0, 0.3, 0.4, 9.0])).tolist() == [0.0, 0.25, 0.5, 3.75]


def test_signed_codes_lie_about_the_middle_of_the_type() -> None:
    grid = ActivationGrid(0.5, 4, signed=True)
    assert (grid.low, grid.high, grid.zero_point) == (-8, 7, 128)
    assert grid.values(np.array([-9.0, -0.5, 9.0])).tolist() == [-4.0, -0.5, 3.5]


@pytest.mark.parametrize(
    ("bits", "signed", "container", "zero_point"),
    [(8, True, 8, 128), (9, True, 16, 32768), (16, False, 16, 0)],
)
def test_more_than_8_bits_take_16(bits: int, signed: bool, container: int, zero_point: int) -> None:
    grid = ActivationGrid(1.0, bits, signed)
    assert (grid.container, grid.zero_point) == (container, zero_point)


def test_ties_round_to_the_even_code() -> None:
    assert ActivationGrid(1.0, 8, signed=True).values(np.array([0.5, 1.5])).tolist() == [0, 2]


def test_what_the_model_clips_has_no_codes() -> None:
    grid = ActivationGrid(2.0**-5, 8, signed=False, highest=6.0)
    assert grid.high == 192
    assert grid.values(np.array([7.0])).item() == 6.0
    assert ActivationGrid(2.0**-6, 8, signed=False, highest=6.0).high == 255


@pytest.mark.parametrize(
    ("bits", "highest", "fills"),
    [(8, inf, True), (7, inf, False), (8, 1.0, False), (16, inf, True)],
)
def test_codes_fill_their_type_unless_bits_or_a_clip_leave_some(
    bits: int, highest: float, fills: bool
) -> None:
    assert ActivationGrid(0.1, bits, False, highest).leaves_codes is not fills


def test_clipped_values_are_counted() -> None:
    grid = ActivationGrid(1.0, 2, signed=False)  # 0, 1, 2, 3
    assert grid.clipped(np.array([0.0, 2.6, 3.4, 3.6])) == 0.25
    assert grid.clipped(np.zeros(0)) == 0


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_the_scale_has_the_least_error_of_all_powers_of_two(bits: int) -> None:
    x = np.abs(random(4000)) ** 2
    found = best_activation_grid([x], bits)

    def error(exponent: int) -> float:
        grid = ActivationGrid(2.0**exponent, bits, signed=False)
        return float(np.square(grid.values(x) - x).sum())

    assert np.log2(found.scale) == min(range(-12, 6), key=error)


def test_any_scale_is_no_worse_than_a_power_of_two() -> None:
    x = random(4000)
    errors = {}
    for scale in ("pow2", "float"):
        grid = best_activation_grid([x], 4, scale)  # type: ignore[arg-type]
        errors[scale] = float(np.square(grid.values(x) - x).sum())
    assert errors["float"] < errors["pow2"]


def test_tensors_that_share_a_grid_count_relative_to_their_power() -> None:
    wide, small = np.abs(random(2000)) * 16, np.abs(random(2000, seed=1))
    alone, shared = best_activation_grid([wide], 4), best_activation_grid([wide, small], 4)
    assert shared.scale < alone.scale
    assert not best_activation_grid([wide, -small], 4).signed
    assert best_activation_grid([-small, wide], 4).signed


def test_an_activation_of_zeros_has_a_grid() -> None:
    assert best_activation_grid([np.zeros(5, np.float32)], 8).scale == 1


@pytest.mark.parametrize(
    ("code_type", "signed", "dtype", "zero_point", "low", "high"),
    [
        ("unsigned", False, "uint8", 0, 0, 255),
        ("unsigned", True, "uint8", 128, -128, 127),
        ("signed", False, "int8", -128, 0, 255),
        ("signed", True, "int8", 0, -128, 127),
        ("symmetric", True, "int8", 0, -128, 127),
    ],
)
def test_all_codes_fit_their_type(
    code_type: CodeType, signed: bool, dtype: str, zero_point: int, low: int, high: int
) -> None:
    grid = ActivationGrid(1.0, 8, signed, code_type=code_type)
    assert (grid.dtype, grid.zero_point, grid.low, grid.high) == (dtype, zero_point, low, high)
    info = np.iinfo(grid.dtype)
    assert (grid.zero_point + grid.low, grid.zero_point + grid.high) == (info.min, info.max)


def test_symmetric_codes_are_signed_even_of_what_is_never_negative() -> None:
    values = np.abs(random(99))
    grid = best_activation_grid([values], 8, "float", code_type="symmetric")
    other = best_activation_grid([values], 8, "float")
    assert grid.signed
    assert not other.signed
    assert grid.scale == pytest.approx(other.scale * 255 / 127)


FREE = ActivationGrid(1.0, 8, signed=True, free_zero_point=True)


def f32(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("values", "offset"),
    [
        (f32(-128, 127), 0),
        (f32(-10, 10), 0),
        (f32(-200, 50), -72),  # the lowest code is that of -200
        (f32(-50, 200), 73),
        (f32(-3, 300), 128),  # 0 keeps its code
    ],
)
def test_a_free_zero_point_goes_no_farther_than_values_need(
    values: NDArray[np.float32], offset: int
) -> None:
    grid = at_scale(FREE, 1.0, [values])
    assert grid.offset == offset
    assert (grid.low, grid.high) == (offset - 128, offset + 127)
    assert (grid.zero_point + grid.low, grid.zero_point + grid.high) == (0, 255)


def test_where_codes_do_not_reach_the_many_values_count() -> None:
    values = np.concatenate([np.linspace(-250, 0, 999), [100.0]]).astype(np.float32)
    grid = at_scale(FREE, 1.0, [values])
    assert grid.low <= -240
    middle = replace(FREE, offset=0)
    assert (
        np.square(grid.values(values) - values).sum()
        < np.square(middle.values(values) - values).sum()
    )


@pytest.mark.parametrize(
    "grid",
    [
        replace(FREE, bits=4),
        replace(FREE, signed=False),
        replace(FREE, free_zero_point=False),
        replace(FREE, code_type="symmetric"),
    ],
    ids=["fewer bits", "unsigned", "fixed", "symmetric"],
)
def test_other_codes_stay_where_they_are(grid: ActivationGrid) -> None:
    assert at_scale(grid, 2.0, [f32(-200, 50)]) == replace(grid, scale=2.0)


def test_the_best_grid_of_values_on_one_side_has_a_finer_scale() -> None:
    values = np.linspace(-200, 50, 999).astype(np.float32)
    free = best_activation_grid([values], 8, free_zero_point=True)
    fixed = best_activation_grid([values], 8)
    assert (free.scale, fixed.scale) == (1.0, 2.0)
