"""What all layers have in common, as matrices."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize import Dense, Linear, Window

LAYERS = {
    "conv": (Window((3, 2), (1, 1), (1, 1), (0,) * 4), (6, 4, 3, 2)),
    "grouped": (Window((3, 2), (1, 1), (1, 1), (0,) * 4, 2), (6, 4, 3, 2)),
    "transposed": (Window((3, 2), (2, 2), (1, 1), (0,) * 4, transposed=True), (6, 4, 3, 2)),
    "both": (Window((3, 2), (2, 2), (1, 1), (0,) * 4, 3, transposed=True), (6, 4, 3, 2)),
    "gemm": (Dense("...k,nk->...n"), (6, 4)),
    "matmul": (Dense("...k,kn->...n"), (6, 4)),
}


@pytest.mark.parametrize("case", LAYERS)
def test_a_weight_comes_back_from_its_matrix(case: str) -> None:
    layer, shape = LAYERS[case]
    weight = random(*shape)
    again = layer.weight(layer.matrix(weight), shape)
    assert np.array_equal(again, weight)
    assert again.flags.c_contiguous


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("conv", (1, 6, 24)),  # (groups, rows, columns)
        ("grouped", (2, 3, 24)),
        ("transposed", (1, 4, 36)),
        ("both", (3, 4, 12)),
        ("gemm", (1, 6, 4)),
        ("matmul", (1, 4, 6)),
    ],
)
def test_a_matrix_has_a_row_for_each_output_channel(
    case: str, expected: tuple[int, int, int]
) -> None:
    layer, shape = LAYERS[case]
    assert layer.matrix(random(*shape)).shape == expected


@pytest.mark.parametrize(("case", "taps"), [("conv", 6), ("both", 6), ("gemm", 1)])
def test_each_input_channel_has_a_column_for_each_tap(case: str, taps: int) -> None:
    assert LAYERS[case][0].taps == taps


@pytest.mark.parametrize(
    ("layer", "output", "expected"),
    [
        (Window((3, 3), (1, 1), (1, 1), (0,) * 4), (2, 8, 5, 6), 30),
        (Dense("...k,kn->...n"), (2, 8), 1),
        (Dense("...k,kn->...n"), (2, 5, 8), 5),
        (Dense("...kn,km->...mn"), (2, 8, 5), 5),
    ],
)
def test_positions_are_those_of_one_sample(
    layer: Linear, output: tuple[int, ...], expected: int
) -> None:
    assert layer.positions(output) == expected


@pytest.mark.parametrize(
    ("layer", "x", "y", "weight", "fits", "samples"),
    [
        (Dense("...k,kn->...n"), (5, 4), (5, 3), (4, 3), True, True),
        (Dense("...k,kn->...n"), (4,), (3,), (4, 3), True, False),
        (Dense("...k,kn->...n"), (5, 4), (4, 3), (4, 3), False, True),
        (Dense("...kn,mk->...mn"), (5, 4, 2), (5, 3, 2), (3, 4), True, True),
        (Dense("...kn,mk->...mn"), (4, 2), (3, 2), (3, 4), True, False),
        (Dense("...kn,mk->...mn"), (8, 2), (6, 2), (3, 4), False, False),
        (Dense("...kn,mk->...mn"), (4,), (3,), (3, 4), False, False),
        (Dense("...km,kn->...mn"), (4, 5), (5, 3), (4, 3), True, False),
        (Dense("...hmk,hkn->...hmn"), (5, 2, 6, 4), (5, 2, 6, 3), (2, 4, 3), True, True),
        (Dense("...hmk,hkn->...hmn"), (6, 4), (2, 6, 3), (2, 4, 3), True, False),
        (Dense("...hmk,hkn->...hmn"), (3, 6, 4), (2, 6, 3), (2, 4, 3), False, False),
        (Dense("...mk,zkn->...mn"), (6, 4), (1, 6, 3), (1, 4, 3), False, True),
        (Window((3, 3), (1, 1), (1, 1), (0,) * 4), (5, 4, 8, 8), (5, 3, 6, 6), (3, 4, 3, 3),
         True, True),
        (Window((3, 3), (1, 1), (1, 1), (0,) * 4), (5, 4, 8), (5, 3, 6), (3, 4, 3, 3),
         False, True),
        (Window((3,), (1,), (1,), (0,) * 2, 2, transposed=True), (5, 4, 8), (5, 6, 10), (4, 3, 3),
         True, True),
    ],
)  # fmt: skip
def test_an_input_may_have_an_axis_of_samples_or_none(
    layer: Linear,
    x: tuple[int, ...],
    y: tuple[int, ...],
    weight: tuple[int, ...],
    fits: bool,
    samples: bool,
) -> None:
    assert (layer.fits(x, y, weight), layer.has_samples(y)) == (fits, samples)


@pytest.mark.parametrize(
    ("layer", "x", "y"),
    [
        (Window((3, 3), (2, 2), (1, 1), (1,) * 4, 2), (2, 4, 7, 6), (2, 6, 4, 3)),
        (Dense("...k,kn->...n"), (2, 5, 4), (2, 5, 3)),
        (Dense("...kn,mk->...mn"), (2, 4, 5), (2, 3, 5)),
    ],
)
def test_some_positions_are_those_rows_of_all(
    layer: Linear, x: tuple[int, ...], y: tuple[int, ...]
) -> None:
    every, some = np.arange(layer.positions(y)), np.array([3, 1])
    for of in (
        lambda at: layer.columns(random(*x), at, y),
        lambda at: layer.outputs(random(*y), at),
    ):
        whole = of(every)
        by_sample = whole.reshape(len(whole), 2, len(every), -1)[:, :, some]
        assert np.array_equal(of(some), by_sample.reshape(len(whole), 2 * len(some), -1))


def test_columns_are_float32_whatever_the_input() -> None:
    x = random(2, 4, 5, 5, dtype="float16")
    layer = Window((3, 3), (1, 1), (1, 1), (0,) * 4)
    assert layer.columns(x, np.arange(9), (2, 8, 3, 3)).dtype == np.float32
