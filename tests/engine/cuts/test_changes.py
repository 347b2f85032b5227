"""Candidates as what differs from values that the workers have."""

from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.engine.cuts.changes import Bases

START = random(20, 10)


def there(memory: Any, changes: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The values, as a worker has them."""
    return {name: change.applied(memory) for name, change in changes.items()}


def on_worker(far: FarWorkers, changes: dict[str, Any]) -> dict[str, NDArray[Any]]:
    from onnx_evoq.executors import Task

    (found,) = far.map(there, [Task(changes, home="here")])
    return found  # type: ignore[no-any-return]


def changed(*places: int) -> NDArray[np.float32]:
    values = START.copy()
    values.flat[list(places)] += 1
    return values.astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_values_come_back_in_their_type(far: FarWorkers, dtype: str) -> None:
    bases = Bases(far, {"w": START, "v": START[0]}, {"w": dtype, "v": "float32"})
    candidate = {"w": changed(3, 7, 50), "v": START[0]}
    found = on_worker(far, bases.changes(candidate))
    np.testing.assert_array_equal(found["w"], candidate["w"].astype(dtype))
    np.testing.assert_array_equal(found["v"], START[0])
    assert found["w"].dtype == dtype
    assert found["w"].shape == (20, 10)


def test_only_positions_that_changed_are_sent(far: FarWorkers) -> None:
    change = Bases(far, {"w": START}, {"w": "float32"}).changes({"w": changed(3, 7)})["w"]
    assert change.positions.tolist() == [3, 7]
    assert change.positions.dtype == np.uint32
    assert change.values.tolist() == changed(3, 7).flat[[3, 7]].tolist()


def test_signs_of_zero_and_nan_are_kept(far: FarWorkers) -> None:
    start = np.float32([0.0, np.nan, 1.0, 2.0] * 16)
    bases = Bases(far, {"w": start}, {"w": "float32"})
    values = start.copy()
    values[0] = -0.0
    change = bases.changes({"w": values})["w"]
    assert change.positions.tolist() == [0]
    assert on_worker(far, {"w": change})["w"].tobytes() == values.tobytes()


def test_a_candidate_that_is_far_off_is_what_the_next_ones_are_compared_with(
    far: FarWorkers,
) -> None:
    bases = Bases(far, {"w": START}, {"w": "float32"})
    other = random(20, 10, seed=5).astype(np.float32)
    near = other.copy()
    near[0, 0] += 1
    first, second = (bases.changes({"w": each})["w"] for each in (other, near))
    assert (first.positions.size, second.positions.size) == (0, 1)
    assert first.base.key == second.base.key
    np.testing.assert_array_equal(on_worker(far, {"w": second})["w"], near)
    np.testing.assert_array_equal(on_worker(far, {"w": first})["w"], other)


def test_a_base_is_not_what_a_search_writes_into(far: FarWorkers) -> None:
    values = START.astype(np.float32)
    bases = Bases(far, {"w": values}, {"w": "float32"})
    values[0, 0] += 1
    assert bases.changes({"w": values})["w"].positions.tolist() == [0]


def test_values_of_another_shape_are_sent_whole(far: FarWorkers) -> None:
    bases = Bases(far, {"w": START}, {"w": "float32"})
    np.testing.assert_array_equal(on_worker(far, bases.changes({"w": START.T}))["w"], START.T)
