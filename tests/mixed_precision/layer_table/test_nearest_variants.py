"""Weights without a closed form, rounded to the nearest code at each width."""

import tracemalloc

import numpy as np
import pytest
from graphs import random

from onnx_evoq import array_blocks
from onnx_evoq.mixed_precision.layer_table.nearest_variants import nearest_at_widths
from onnx_evoq.model import Weight
from onnx_evoq.quantize import GridSpec, QuantizedWeight, fit, nearest

SPECS = [GridSpec(bits, axis) for bits, axis in ((2, None), (4, 0), (8, 1))]


def weight_of(values: np.ndarray) -> Weight:
    return Weight("w", "Gather", ("look_up",), None, values, "float32")


@pytest.mark.parametrize("most_kept", [0, 2**20], ids=["computed each time", "kept"])
def test_each_width_has_the_nearest_codes_of_its_grid(most_kept: int) -> None:
    weight = weight_of(random(6, 5))
    variants = nearest_at_widths(weight, SPECS, most_kept)
    for variant, spec in zip(variants, SPECS, strict=True):
        grid = fit(weight.values, spec.bits, spec.axis)
        expected = QuantizedWeight(nearest(weight.values, grid), grid).values
        np.testing.assert_array_equal(variant.values, expected)
        assert variant.costs == pytest.approx([((expected - weight.values) ** 2).sum()])
        assert variant.bias.size == 0


def test_the_errors_of_all_blocks_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_blocks, "_BLOCK", 16)
    weight = weight_of(random(7, 8))  # of whose codes each block has two rows
    (variant,) = nearest_at_widths(weight, [GridSpec(2)])
    error = np.square(variant.values - weight.values, dtype=np.float64).sum()
    assert variant.costs == pytest.approx([error])


def test_a_change_of_the_values_changes_no_variant() -> None:
    (variant,) = nearest_at_widths(weight_of(random(6, 5)), SPECS[:1])
    before = variant.values.tolist()
    variant.values[:] = 7
    assert variant.values.tolist() == before


@pytest.mark.parametrize(
    ("most_kept", "times"), [(0, 0.1), (2**20, 1.9)], ids=["computed each time", "kept"]
)
def test_the_variants_take_no_floats(most_kept: int, times: float) -> None:
    weight = weight_of(random(512, 512))
    tracemalloc.start()
    try:
        variants = nearest_at_widths(weight, [GridSpec(bits) for bits in range(2, 9)], most_kept)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(variants) == 7  # the codes of each take a quarter of the weight
    assert held <= times * weight.values.nbytes
