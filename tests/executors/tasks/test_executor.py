"""What all executors have in common: results in order, references, errors at their places."""

import pytest
from cluster_tasks import Element, element, failing
from far_workers import FarWorkers

from onnx_evoq.errors import ModelError
from onnx_evoq.executors import Executor, Reference, Task
from onnx_evoq.executors.tasks.threads import Threads


@pytest.fixture(params=[Threads(1), Threads(3), FarWorkers()], ids=["one", "threads", "far"])
def executor(request: pytest.FixtureRequest) -> Executor:
    made: Executor = request.param
    return made


def test_results_are_in_the_order_of_the_tasks(executor: Executor) -> None:
    values = executor.hold([4, 5, 6])
    tasks = (Task(Element(values, index)) for index in (2, 0, 1))
    assert [value for value, _ in executor.map(element, tasks)] == [6, 4, 5]
    assert list(executor.map(element, [])) == []


def test_a_reference_may_stand_in_a_value_that_is_held(executor: Executor) -> None:
    inner = executor.hold([7])
    outer = executor.hold([inner])
    ((found, _),) = executor.map(element, [Task(Element(outer, 0))])
    assert isinstance(found, Reference)
    assert found.key == inner.key


def test_an_error_is_raised_at_its_place(executor: Executor) -> None:
    results, found = executor.map(failing, [Task(index) for index in range(5)]), []
    with pytest.raises(ModelError, match="the third"):
        found.extend(results)
    assert found == [0, 1]


def test_there_are_workers_and_an_executor_for_small_work(executor: Executor) -> None:
    assert executor.workers >= 1
    assert executor.near.near is executor.near
