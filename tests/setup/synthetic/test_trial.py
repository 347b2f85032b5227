"""Trial runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from onnx_evoq.array_types import Array
from onnx_evoq.data import InputPlan, Noise
from onnx_evoq.errors import ModelError
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup.synthetic.trial import Trial, first_that_runs, with_varied
from onnx_evoq.signature import TensorSpec

FLOAT = np.dtype("float32")


class Runs:
    """Stands for a session that takes some sizes only.

    Args:
        outputs: by the size of the last input; it fails with any other.
        most: samples in a run; it fails with more.
    """

    name = "m.onnx"

    def __init__(self, outputs: Mapping[int, float], most: int = 9) -> None:
        self.outputs, self.most, self.tried = outputs, most, list[tuple[int, ...]]()

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        *_, array = feed.values()
        self.tried.append(array.shape)
        if array.shape[1] not in self.outputs or len(array) > self.most:
            raise ModelError("m.onnx: fails")
        return {"y": np.full(array.shape, self.outputs[array.shape[1]])}


def trial(
    session: Runs,
    sizes: Sequence[int],
    names: str = "x",
    batch: int | None = None,
    most: int = 30,
    deadline: Deadline = NO_DEADLINE,
) -> Trial | None:
    specs = [TensorSpec(name, FLOAT, (batch, None)) for name in names]
    plans = [[InputPlan(name, FLOAT, (size,), Noise()) for name in names] for size in sizes]
    return first_that_runs(session, specs, plans, most, deadline)  # type: ignore[arg-type]


def size_and_flaws(found: Trial | None) -> tuple[int, tuple[bool, ...]]:
    assert found is not None
    return found.plans[0].shape[0], found.flaws


def test_the_first_inputs_that_give_numbers_are_taken() -> None:
    session = Runs({3: np.nan, 5: 1.0, 6: 1.0})
    assert size_and_flaws(trial(session, (2, 3, 5, 6))) == (5, (False, False, False))
    assert session.tried == [(1, 2), (1, 3), (1, 5)]


def test_inputs_that_run_are_taken_if_none_gives_numbers() -> None:
    found = trial(Runs({3: np.inf}), (2, 3, 4))
    assert size_and_flaws(found) == (3, (True, False, False))


def test_empty_inputs_are_better_than_none() -> None:
    assert size_and_flaws(trial(Runs({0: 1.0}), (0, 1))) == (0, (True, True, False))
    assert size_and_flaws(trial(Runs({0: 1.0, 1: 1.0}), (0, 1))) == (1, (False, False, False))


def test_samples_of_several_inputs_must_go_into_one_run() -> None:
    assert size_and_flaws(trial(Runs({3: 1.0}, most=1), (3,), "ab")) == (3, (False, False, True))
    assert size_and_flaws(trial(Runs({3: 1.0}, most=1), (3,))) == (3, (False, False, False))


def test_a_batch_that_the_model_prescribes_is_run() -> None:
    session = Runs({3: 1.0})
    assert not any(size_and_flaws(trial(session, (3,), batch=4))[1])
    assert session.tried == [(4, 3)]


@pytest.mark.parametrize(("most", "deadline", "runs"), [(2, NO_DEADLINE, 2), (9, Deadline(0), 1)])
def test_runs_are_bounded_in_number_and_time(most: int, deadline: Deadline, runs: int) -> None:
    session = Runs({})
    assert trial(session, (1, 2, 3), most=most, deadline=deadline) is None
    assert len(session.tried) == runs


class Limited:
    """Stands for a session that gives NaN for inputs beyond a limit."""

    name = "m.onnx"

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        (array,) = feed.values()
        return {"y": np.where(np.abs(array) < self.limit, array, np.nan)}


@pytest.mark.parametrize(("limit", "varies"), [(50.0, True), (4.5, False)])
def test_amplitudes_vary_where_the_model_takes_each_of_them(limit: float, varies: bool) -> None:
    specs = [TensorSpec("x", FLOAT, (None, 400))]
    image = Noise(image=True)
    plan = InputPlan("x", FLOAT, (20, 20, 1), image)
    found = with_varied(Trial([plan], 1.0, (False, False, False)), Limited(limit), specs)
    amplitudes = (1.0, 2.0) if varies else (1.0,)
    assert found.plans == [replace(plan, values=replace(image, amplitudes=amplitudes))]
