"""Trial runs."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from onnx_evoq.array_types import Array
from onnx_evoq.data import Chosen, InputPlan, Noise, Values, Whole
from onnx_evoq.errors import ModelError
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup.synthetic.layout import Layout
from onnx_evoq.setup.synthetic.search import (
    Shapes,
    first_that_runs,
    in_order_of_cost,
    plans_to_try,
    shapes_to_try,
)
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, None))]


class Runs:
    """Stands for a session that takes some sizes only.

    Args:
        outputs: by the size of the input; it fails with any other.
    """

    name = "m.onnx"

    def __init__(self, outputs: Mapping[int, float]) -> None:
        self.outputs, self.tried = outputs, list[int]()

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = feed.values()
        self.tried.append(array.shape[1])
        if array.shape[1] not in self.outputs:
            raise ModelError("m.onnx: fails")
        return {"y": np.full(array.shape, self.outputs[array.shape[1]])}


def of_sizes(*sizes: int) -> list[list[InputPlan]]:
    return [[InputPlan("x", np.dtype("float32"), (size,), Noise())] for size in sizes]


def test_choices_come_in_the_order_of_their_cost() -> None:
    choices = list(in_order_of_cost([3, 1, 2]))
    assert choices[:3] == [(0, 0, 0), (0, 0, 1), (1, 0, 0)]
    assert sorted(choices) == sorted(itertools.product(range(3), range(1), range(2)))
    assert list(in_order_of_cost([])) == [()]


def test_contradicted_shapes_come_last() -> None:
    layout = Layout({"x": (1, "t")}, whole=False)
    groups = [[{"t": 32}, {"t": 0}, {"t": 4}, {"t": 32}]]
    shapes = shapes_to_try(layout, groups, lambda shapes: shapes["x"] == (32,))
    assert [each["x"] for each in shapes] == [(0,), (4,), (32,)]


def test_without_open_sizes_there_is_one_shape() -> None:
    layout = Layout({"x": (1, 4)}, whole=False)
    assert list(shapes_to_try(layout, [], lambda shapes: True)) == [{"x": (4,)}]


def test_plans_go_through_shapes_and_values_side_by_side() -> None:
    def values(spec: TensorSpec, shapes: Shapes) -> list[Values]:
        return [Whole(0, 2), Chosen((1.0,))]

    plans = plans_to_try(SPECS, iter([{"x": (3,)}, {"x": (4,)}]), values)
    tried = [(plan[0].shape[0], type(plan[0].values)) for plan in plans]
    assert tried == [(3, Whole), (3, Chosen), (4, Whole), (4, Chosen)]


def test_noise_of_all_inputs_changes_together() -> None:
    specs = [TensorSpec(name, np.dtype("float32"), (None,)) for name in "ab"]
    plans = plans_to_try(
        specs, iter([{"a": (), "b": ()}]), lambda spec, shapes: [Noise(), Noise((1.0,))]
    )
    assert [[each.values.mean for each in plan] for plan in plans] == [  # type: ignore[union-attr]
        [(0.0,), (0.0,)],
        [(1.0,), (1.0,)],
    ]


def test_the_first_inputs_that_give_numbers_are_taken() -> None:
    session = Runs({3: np.nan, 5: 1.0, 6: 1.0})
    trial = first_that_runs(session, SPECS, of_sizes(2, 3, 5, 6), 30, NO_DEADLINE)  # type: ignore[arg-type]
    assert trial is not None
    assert (trial.plans[0].shape, trial.gives_numbers) == ((5,), True)
    assert session.tried == [2, 3, 5]


def test_inputs_that_run_are_taken_if_none_gives_numbers() -> None:
    trial = first_that_runs(Runs({3: np.inf}), SPECS, of_sizes(2, 3, 4), 30, NO_DEADLINE)  # type: ignore[arg-type]
    assert trial is not None
    assert (trial.plans[0].shape, trial.gives_numbers) == ((3,), False)


def test_empty_outputs_hold_no_numbers() -> None:
    trial = first_that_runs(Runs({0: 1.0, 1: 1.0}), SPECS, of_sizes(0, 1), 30, NO_DEADLINE)  # type: ignore[arg-type]
    assert trial is not None
    assert trial.plans[0].shape == (1,)


@pytest.mark.parametrize(("most", "deadline", "runs"), [(2, NO_DEADLINE, 2), (9, Deadline(0), 1)])
def test_runs_are_bounded_in_number_and_time(most: int, deadline: Deadline, runs: int) -> None:
    session = Runs({})
    assert first_that_runs(session, SPECS, of_sizes(1, 2, 3), most, deadline) is None  # type: ignore[arg-type]
    assert len(session.tried) == runs
