"""How much work makes a task."""

import pytest

from onnx_evoq.executors import TaskSize


def known(seconds: float) -> TaskSize:
    """A size that knows how long a unit takes."""
    size = TaskSize()
    size.took(10, 10 * seconds)
    return size


@pytest.mark.parametrize(("of", "workers", "units"), [(80, 4, 10), (81, 4, 11), (3, 4, 1)])
def test_before_any_time_is_known_each_worker_gets_two_tasks(
    of: int, workers: int, units: int
) -> None:
    assert TaskSize().units(of, workers) == units


@pytest.mark.parametrize(
    ("seconds", "of", "units"),
    [
        (0.01, 1000, 25),  # a quarter of a second
        (1.0, 1000, 1),  # no less than one
        (0.01, 40, 10),  # all four workers have something to do
        (0.001, 40, 20),  # but none with less than 20 ms
        (0.001, 10, 10),  # no more than there are
    ],
)
def test_a_task_takes_a_quarter_of_a_second_if_there_is_enough_work(
    seconds: float, of: int, units: int
) -> None:
    assert known(seconds).units(of, workers=4) == units


def test_the_last_times_count_most() -> None:
    size = known(0.01)
    size.took(1, 0.03)  # 0.02 in the mean
    assert size.units(1000, 4) == 12
