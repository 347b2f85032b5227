"""What the uses of an input say of its values."""

import pytest

from onnx_evoq.model import RowIndex


@pytest.mark.parametrize(
    ("scale", "offset", "rows", "below"),
    [(1, 0, 20, 20), (1, 5, 20, 15), (2, 5, 20, 8), (0.5, 0, 20, 39), (1, 9, 5, 1)],
)
def test_values_are_bounded_by_the_rows_behind_sums_and_products(
    scale: float, offset: float, rows: int, below: int
) -> None:
    assert RowIndex("h", 0, scale=scale, offset=offset).below(rows) == below
