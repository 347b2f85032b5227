"""Tasks on real workers: results in order, values sent once, and workers that come and go."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_tasks import Element, element, ending, failing, once_more
from real_cluster import RealCluster

pytest.importorskip("distributed")

from onnx_evoq.errors import ClusterError, ModelError
from onnx_evoq.executors import Task, connected
from onnx_evoq.executors.dask_cluster import DaskCluster


@pytest.fixture
def executor(cluster: RealCluster) -> Iterator[DaskCluster]:
    with connected(cluster.address, 2) as found:
        assert found is not None
        yield found


def elements(executor: DaskCluster, count: int, seconds: float = 0.0) -> list[tuple[int, int]]:
    """The elements of a list that is held, and the processes that gave them."""
    values = executor.hold(list(range(100, 100 + count)))
    tasks = (Task(Element(values, index, seconds)) for index in range(count))
    return list(executor.map(element, tasks))


def wait_for(executor: DaskCluster, workers: int) -> None:
    """Wait until there are so many workers."""
    end = time.monotonic() + 60
    while executor.workers != workers:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_results_are_in_order_and_all_workers_work(executor: DaskCluster) -> None:
    wait_for(executor, 2)
    found = elements(executor, 20, 0.02)
    assert [value for value, _ in found] == list(range(100, 120))
    processes = {process for _, process in found}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert executor.traffic.done == 20


def test_tasks_of_one_home_are_done_by_one_worker(executor: DaskCluster) -> None:
    wait_for(executor, 2)
    values = executor.hold([5, 6])
    tasks = [Task(Element(values, k % 2, 0.05), home=k % 2) for k in range(12)]
    found = list(executor.map(element, tasks))
    homes = [{process for value, process in found if value == each} for each in (5, 6)]
    assert homes[0] != homes[1]
    assert min(len(each) for each in homes) == 1  # one worker may help the other in the end


def test_a_value_is_sent_to_each_worker_once(executor: DaskCluster) -> None:
    wait_for(executor, 2)
    values = np.arange(250_000, dtype=np.float64)  # 2 MB
    reference = executor.hold(values)
    assert executor.hold(values) is reference
    assert executor.hold(values.copy()).key == reference.key
    for _ in range(2):
        tasks = [Task(Element(reference, index, 0.02)) for index in range(8)]
        found = list(executor.map(element, tasks))
        assert [value for value, _ in found] == list(range(8))
    assert 2e6 < executor.traffic.values < 4.1e6
    assert executor.traffic.tasks < 40_000
    assert executor.traffic.again == 0


def test_an_error_of_a_task_is_raised_at_its_place(executor: DaskCluster) -> None:
    results, found = executor.map(failing, [Task(index) for index in range(5)]), []
    with pytest.raises(ModelError, match="the third") as caught:
        found.extend(results)
    assert found == [0, 1]
    assert caught.value.args == ("the third",)
    assert [value for value, _ in elements(executor, 3)] == [100, 101, 102]


def test_what_is_not_asked_for_is_given_up(executor: DaskCluster) -> None:
    values = executor.hold([1])
    results = executor.map(element, (Task(Element(values, 0, 0.02)) for _ in range(1000)))
    next(results)
    results.close()
    assert executor.traffic.done < 50
    assert elements(executor, 1)[0][0] == 100


def test_a_worker_that_joins_is_used(cluster: RealCluster, executor: DaskCluster) -> None:
    wait_for(executor, 2)
    cluster.start_worker()
    wait_for(executor, 3)
    assert len({process for _, process in elements(executor, 30, 0.02)}) == 3
    cluster.kill_worker()
    wait_for(executor, 2)


def test_a_worker_that_is_lost_costs_its_tasks_only(tmp_path: Path) -> None:
    with RealCluster(tmp_path) as own:
        for _ in range(3):
            own.start_worker()
        with connected(own.address, 1) as executor:
            assert executor is not None
            wait_for(executor, 3)
            values, found = executor.hold(list(range(40))), []
            tasks = (Task(Element(values, index, 0.1)) for index in range(40))
            for index, (value, _) in enumerate(executor.map(element, tasks)):
                found.append(value)
                if index == 5:
                    own.kill_worker()
            assert found == list(range(40))
            wait_for(executor, 2)
            # A worker ends in the middle of a task, which another one does.
            assert list(executor.map(once_more, [Task(str(tmp_path / "begun"))])) == [True]
            wait_for(executor, 1)
            assert elements(executor, 2)[1][0] == 101


@pytest.mark.parametrize("cause", [KeyError("tcp://gone:1"), OSError("closed by the scheduler")])
def test_values_for_a_worker_that_is_just_lost_are_sent_again(
    cluster: RealCluster, monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    with connected(cluster.address, 1) as executor:
        assert executor is not None
        lost, scatter = [cause], executor._client.scatter

        async def lost_once(*arguments: Any, **options: Any) -> Any:
            if lost:
                raise lost.pop()
            return await scatter(*arguments, **options)

        monkeypatch.setattr(executor._client, "scatter", lost_once)
        values = executor.hold([5, 6, 7])
        tasks = (Task(Element(values, index, 0.0)) for index in range(3))
        assert [value for value, _ in executor.map(element, tasks)] == [5, 6, 7]
        assert not lost


def test_a_task_that_ends_its_workers_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")  # of 3
    with RealCluster(tmp_path) as own:
        for _ in range(3):
            own.start_worker()
        with connected(own.address, 1) as executor:
            assert executor is not None
            wait_for(executor, 3)
            with pytest.raises(ClusterError, match="ended several workers one after the other"):
                list(executor.map(ending, [Task(0)]))


def test_a_lost_scheduler_ends_the_run(tmp_path: Path) -> None:
    with RealCluster(tmp_path) as own:
        own.start_worker()
        with connected(own.address, 1) as executor:
            assert executor is not None
            values = executor.hold([7])
            results = executor.map(element, (Task(Element(values, 0, 0.05)) for _ in range(200)))
            assert next(results)[0] == 7
            own.kill_scheduler()
            message = f"the connection to the scheduler at {own.address} is lost"
            with pytest.raises(ClusterError, match=message):
                list(results)
            with pytest.raises(ClusterError, match=message):  # without a try to connect again
                assert executor.workers


def test_tasks_of_a_scheduler_that_is_just_lost_need_no_end(
    executor: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def cancel(promises: list[Any], force: bool) -> None:
        asked.append(len(promises))
        raise OSError("closed by the scheduler")

    monkeypatch.setattr(executor._client, "cancel", cancel)
    values = executor.hold([1])
    results = executor.map(element, (Task(Element(values, 0, 0.05)) for _ in range(50)))
    next(results)
    results.close()
    assert len(asked) == 1


def test_tasks_that_no_worker_does_are_known(cluster: RealCluster) -> None:
    with connected(cluster.address, 1) as executor:
        assert executor is not None
        done, nobody = (
            executor._client.submit(time.sleep, 0.5 + k, workers=workers, pure=False)
            for k, workers in enumerate((None, ["tcp://127.0.0.1:1"]))
        )
        end = time.monotonic() + 10
        while executor.not_in_work([done, nobody]) != [nobody]:
            assert time.monotonic() < end
            time.sleep(0.05)
        executor.cancel([nobody])
        assert done.result() is None
        assert executor.not_in_work([done]) == []


def test_long_work_in_this_process_is_no_lack_of_workers(cluster: RealCluster) -> None:
    with connected(cluster.address, 1) as executor:
        assert executor is not None
        executor._patience = 0.05
        assert executor.workers
        time.sleep(0.2)
        executor.check()


def test_without_workers_for_long_the_run_ends(tmp_path: Path) -> None:
    with RealCluster(tmp_path) as own:
        own.start_worker()
        with connected(own.address, 1) as executor:
            assert executor is not None
            executor._patience = 1.0
            values = executor.hold([7])
            results = executor.map(element, (Task(Element(values, 0, 0.05)) for _ in range(200)))
            assert next(results)[0] == 7
            own.kill_worker()
            with pytest.raises(ClusterError, match="has had no worker for 1 seconds"):
                list(results)
