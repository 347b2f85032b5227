"""Sizes to try for open axes."""

import numpy as np

from onnx_evoq.setup.axes.layout import BATCH, Layout
from onnx_evoq.setup.axes.sizes import added_up, sizes_to_try
from onnx_evoq.signature import TensorSpec


def spec(*shape: int | None, dtype: str = "float32", name: str = "x") -> TensorSpec:
    return TensorSpec(name, np.dtype(dtype), shape)


def test_open_sides_of_images_are_tried_together_and_channels_alone() -> None:
    layout = Layout({"x": (1, "c", "h", "w")}, whole=False)
    channels, sides = sizes_to_try(layout, [spec(1, None, None, None)], [])
    assert channels[:2] == [{"c": 3}, {"c": 1}]
    assert sides[:2] == [{"h": 128, "w": 128}, {"h": 224, "w": 224}]


def test_sizes_that_constants_suggest_come_first() -> None:
    layout = Layout({"x": (1, 3, "h", "w")}, whole=False)
    (sides,) = sizes_to_try(layout, [spec(1, 3, None, None)], [{"h": 48, "w": 192}])
    assert sides[:2] == [{"h": 48, "w": 192}, {"h": 128, "w": 128}]


def test_lengths_may_be_sums_of_others() -> None:
    layout = Layout({"x": (1, "past", 4), "i": (1, "new"), "m": (1, "all")}, whole=False)
    specs = [spec(1, None, 4), spec(1, None, name="i"), spec(1, None, name="m")]
    past, new, total = sizes_to_try(layout, specs, [])
    assert [group[0] for group in (past, new, total)] == [{"past": 32}, {"new": 32}, {"all": 32}]
    assert total[1] == {"all": ("past", "new")}
    assert {"past": 0} in past, "a cache is empty at first"
    assert {"new": 0} not in new


def test_the_batch_of_a_whole_feed_is_1_at_first() -> None:
    layout = Layout({"h": (2, BATCH, 8)}, whole=True)
    assert sizes_to_try(layout, [spec(2, None, 8, name="h")], [])[0][0] == {BATCH: 1}


def test_sums_of_sums_are_left_out() -> None:
    assert added_up({"a": 1, "b": ("a", "a"), "c": ("a", 1)}) == {"a": 1, "b": 2, "c": 2}
    assert added_up({"a": ("b", "b"), "b": ("a", 1)}) is None
