"""The grid of a weight laid out for the rows of its matrix."""

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE

from onnx_evoq.quantize import Dense, GridSpec, Linear, Window
from onnx_evoq.quantize.grid.grid_rows import RowGrid, covering_grid, row_channels, row_grid
from onnx_evoq.quantize.weights.fixed_point import FixedPoint

GROUPED = Window((3,), (1,), (1,), (0, 0), 2)
TRANSPOSED = Window((2, 2), (1, 1), (1, 1), (0,) * 4, 2, transposed=True)


def test_steps_of_a_transposed_convolution_follow_its_rows() -> None:
    grid = FixedPoint(4, np.float32([1, 2, 4]), 1)
    rows = row_grid(grid, TRANSPOSED, (4, 3, 2, 2))  # both groups share the weight's axis 1
    assert rows.steps[:, :, 0].tolist() == [[1, 2, 4], [1, 2, 4]]


def test_steps_of_a_grouped_convolution_follow_its_rows() -> None:
    rows = row_grid(FixedPoint(4, np.float32([1, 2, 4, 8]), 0), GROUPED, (4, 3, 3))
    assert rows.steps[:, :, 0].tolist() == [[1, 2], [4, 8]]


def test_one_step_holds_for_every_row() -> None:
    rows = row_grid(FixedPoint(4, np.float32(0.5)), DENSE, (3, 5))
    assert rows.steps.tolist() == [[[0.5]] * 3]
    assert rows.steps.dtype == np.float64


def test_the_limits_of_rows_follow_the_channels() -> None:
    grid = FixedPoint((2, 3, 4), np.ones(3, np.float32), axis=1)
    rows = row_grid(grid, TRANSPOSED, (4, 3, 2, 2))
    assert rows.low.tolist() == [[[-2], [-4], [-8]]] * 2
    assert rows.high.tolist() == [[[1], [3], [7]]] * 2


def test_one_width_has_limits_that_are_numbers() -> None:
    rows = row_grid(FixedPoint(3, np.float32([1, 2, 4, 8]), 0), GROUPED, (4, 3, 3))
    assert (rows.low, rows.high) == (-4, 3)


def test_channels_along_the_input_axis_are_those_of_the_rows_of_a_matmul() -> None:
    assert row_channels(1, Dense("...k,kn->...n"), (4, 3)).tolist() == [[0, 1, 2]]
    assert row_channels(None, Dense("...k,kn->...n"), (4, 3)).tolist() == [[0, 0, 0]]


def test_the_nearest_codes_are_rounded_half_to_even_and_clipped() -> None:
    grid = RowGrid(np.array([[[1.0], [0.5]]]), -2, np.array([[[1.0], [7.0]]]))
    weights = np.array([[[0.5, 1.5, -9.0], [0.25, 9.0, -0.7]]])
    assert grid.nearest(weights).tolist() == [[[0, 1, -2], [0, 7, -1]]]


LAYERS = [
    (DENSE, (5, 6)),
    (Dense("...k,kn->...n"), (6, 5)),
    (GROUPED, (4, 3, 3)),
    (TRANSPOSED, (4, 3, 2, 2)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_the_grid_that_covers_a_matrix_is_that_of_its_weight(
    layer: Linear, shape: tuple[int, ...], scale: str, per_channel: bool
) -> None:
    axis = (1 if layer in (TRANSPOSED, Dense("...k,kn->...n")) else 0) if per_channel else None
    weight, spec = random(*shape), GridSpec(4, axis, scale)  # type: ignore[arg-type]
    grid = covering_grid(layer.matrix(weight).astype(np.float64), layer, shape, spec)
    assert (grid.step == spec.fit(weight).step).all()
    assert (grid.bits, grid.axis) == (4, axis)


def test_the_grid_covers_columns_beyond_those_of_the_weight() -> None:
    matrix = np.array([[[0.1, 0.2, -3.0], [0.1, 0.2, 0.4]]])
    grid = covering_grid(matrix, DENSE, (2, 2), GridSpec(4, axis=0))
    assert grid.step.tolist() == [0.5, 0.0625]


def test_the_grid_of_some_rows_has_their_steps_and_limits() -> None:
    grid = RowGrid(np.arange(1.0, 7).reshape(2, 3, 1), -2, np.arange(6.0).reshape(2, 3, 1))
    some = grid.at(np.array([2, 0]))
    assert some.steps[:, :, 0].tolist() == [[3, 1], [6, 4]]
    assert some.low == -2
    assert np.asarray(some.high)[:, :, 0].tolist() == [[2, 0], [5, 3]]
