"""Combinations of sizes and values to try."""

import itertools

import numpy as np

from onnx_evoq.data import Chosen, Noise, Values, Whole
from onnx_evoq.setup.axes.layout import Layout
from onnx_evoq.setup.synthetic.combinations import (
    Shapes,
    in_order_of_cost,
    plans_to_try,
    shapes_to_try,
)
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, None))]


def test_choices_come_in_the_order_of_their_cost() -> None:
    choices = list(in_order_of_cost([3, 1, 2]))
    assert choices[:3] == [(0, 0, 0), (0, 0, 1), (1, 0, 0)]
    assert sorted(choices) == sorted(itertools.product(range(3), range(1), range(2)))
    assert list(in_order_of_cost([])) == [()]


def test_contradicted_shapes_are_left_out() -> None:
    layout = Layout({"x": (1, "t")}, whole=False)
    groups = [[{"t": 32}, {"t": 0}, {"t": 4}, {"t": 32}]]
    shapes = shapes_to_try(layout, groups, lambda shapes: shapes["x"] == (32,))
    assert [each["x"] for each in shapes] == [(0,), (4,)]


def test_of_shapes_that_are_all_contradicted_the_first_is_tried() -> None:
    layout = Layout({"x": (1, 4)}, whole=False)
    assert list(shapes_to_try(layout, [], lambda shapes: True)) == [{"x": (4,)}]


def test_other_values_come_after_a_few_other_sizes() -> None:
    def values(spec: TensorSpec, shapes: Shapes) -> list[Values]:
        return [Whole(0, 2), Chosen((1.0,))]

    plans = plans_to_try(SPECS, iter([{"x": (size,)} for size in (3, 4, 5)]), values)
    tried = [(plan[0].shape[0], type(plan[0].values)) for plan in plans]
    assert tried == [(3, Whole), (4, Whole), (3, Chosen), (4, Chosen), (5, Whole), (5, Chosen)]


def test_noise_of_all_inputs_changes_together() -> None:
    specs = [TensorSpec(name, np.dtype("float32"), (None,)) for name in "ab"]
    plans = plans_to_try(
        specs, iter([{"a": (), "b": ()}]), lambda spec, shapes: [Noise(), Noise((1.0,))]
    )
    assert [[each.values.mean for each in plan] for plan in plans] == [  # type: ignore[union-attr]
        [(0.0,), (0.0,)],
        [(1.0,), (1.0,)],
    ]
