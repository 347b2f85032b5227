"""The work on all variants of a layer."""

from dataclasses import replace

import pytest

from onnx_evoq.mixed_precision.layer_table.variant_size import VariantSize
from onnx_evoq.quantize import Effort
from onnx_evoq.reconstruct import LayerSize


def test_the_work_on_variants_grows_with_all_that_they_depend_on() -> None:
    full = Effort(activation_rounds=0, restarts=0)
    least = VariantSize(1, 8, 90).seconds(replace(full, descends=False))
    usual = VariantSize(1, 8, 90).seconds(full)
    assert usual > least
    for larger in [
        VariantSize(2, 8, 90),
        VariantSize(1, 16, 90),
        VariantSize(1, 8, 180),
        VariantSize(1, 8, 90, splits=3),
        VariantSize(1, 8, 90, granularities=2),
    ]:
        assert larger.seconds(full) > usual
    split = VariantSize(1, 8, 90, splits=3)
    assert split.seconds(replace(full, descends=False)) == least  # which splits nothing


def test_all_ways_take_as_long_as_one_each_beside_the_samples() -> None:
    full = Effort(activation_rounds=0, restarts=0)
    size = VariantSize(2, 8, 90, splits=3, granularities=2)
    one = VariantSize(2, 8, 90)
    way = size.seconds_of_way(full)
    assert way == one.seconds_of_way(full) > size.seconds_of_way(replace(full, descends=False)) > 0
    assert size.seconds(full) - one.seconds(full) == pytest.approx(5 * way)


@pytest.mark.parametrize(
    ("rows", "descends", "products", "beside"),
    [
        (8, True, 2 * 90**3 + 7 * (2 * (8 + 8 * 11) * 90**2 + 2e7), 5e-7),
        (200, False, 2 * 90**3 + 7 * (2 * (128 + 200) * 90**2 + 2e7), 1e-7),
    ],
)
def test_a_way_takes_time_for_products_and_for_values(
    rows: int, descends: bool, products: float, beside: float
) -> None:
    seconds = VariantSize(2, rows, 90).seconds_of_way(Effort(descends=descends))
    assert seconds == pytest.approx(3e-11 * products + 7 * beside * 2 * rows * 90)


def test_samples_take_no_longer_for_what_variants_leave_out() -> None:
    size, plain = VariantSize(1, 8, 90), LayerSize(1, 8, 90)
    least = Effort(activation_rounds=0, compared_columns=0, restarts=0)
    assert size.seconds(Effort()) == size.seconds(least)
    assert size.seconds(least) == pytest.approx(plain.seconds(least) + size.seconds_of_way(least))
