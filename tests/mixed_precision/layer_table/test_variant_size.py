"""The work on all variants of a layer."""

from dataclasses import replace

import pytest

from onnx_evoq.mixed_precision.layer_table.variant_size import VariantSize
from onnx_evoq.quantize import Effort


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
