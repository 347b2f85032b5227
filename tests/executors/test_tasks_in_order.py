"""A sequence of tasks, with workers that lack values, are lost, or give up."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cluster_tasks import failing

from onnx_evoq.errors import ClusterError, ModelError
from onnx_evoq.executors import Task
from onnx_evoq.executors.dispatch import Choice
from onnx_evoq.executors.tasks.packing import packed, parts_of
from onnx_evoq.executors.tasks_in_order import TasksInOrder
from onnx_evoq.executors.traffic import Traffic
from onnx_evoq.executors.worker_side import Answer


class Promise:
    """A task that is over at once."""

    def __init__(self, status: str, answer: Answer) -> None:
        self.status, self.answer = status, answer


class Workers:
    """Two workers that do each task at once, or answer as they are told.

    Attributes:
        told: by argument, what comes before the result: a status or an answer.
    """

    workers = 2

    def __init__(self, told: dict[int, list[str | Answer]] | None = None) -> None:
        self.traffic, self.told = Traffic(), told or {}
        self.busy = self.most = 0
        self.cancelled: list[Any] = []
        self.noted: list[tuple[str, int]] = []
        self.hopeless = False
        self.gathers = True
        self.pending: list[Promise] = []
        self.asked = 0

    def not_in_work(self, promises: Sequence[Promise]) -> list[Promise]:
        self.asked += 1
        return [promise for promise in promises if promise in self.pending]

    def choose(self, waiting: dict[int, Task[Any]]) -> Choice | None:
        if not waiting or self.busy == 4:
            return None
        self.busy += 1
        self.most = max(self.most, self.busy)
        return Choice(next(iter(waiting)), "w")

    def ended(self, choice: Choice) -> None:
        self.busy -= 1

    def submit(self, work: Any, worker: str, ended: Callable[[Any], None]) -> Promise:
        function, argument = work
        told = self.told.get(argument, [])
        status: str = "finished"
        if told and isinstance(told[0], str):
            status, answer = str(told.pop(0)), Answer()
        elif told:
            answer = told.pop(0)  # type: ignore[assignment]
        else:
            try:
                answer = Answer(1.0, packed(parts_of(function(None, argument))[0]))
            except ModelError as error:
                answer = Answer(1.0, raised=error)
        promise = Promise(status, answer)
        if status == "pending":
            self.pending.append(promise)
        else:
            ended(promise)
        return promise

    def lacks(self, worker: str, work: Any) -> None:
        self.noted.append(("lacks", work[1]))

    def lost(self, promise: Any, work: Any) -> None:
        self.noted.append(("lost", work[1]))

    def check(self) -> None:
        if self.hopeless:
            raise ClusterError("no hope")

    def gather(self, promises: Sequence[Promise]) -> list[Answer] | None:
        if not self.gathers:
            self.gathers = True
            return None
        return [promise.answer for promise in promises]

    def failure(self, promise: Any) -> ClusterError:
        return ClusterError("it failed")

    def cancel(self, promises: Sequence[Any]) -> None:
        self.cancelled += promises


def results(workers: Workers, count: int = 6, first: int = 3) -> list[int]:
    """The results of tasks whose argument counts from `first`; `failing` fails for 2."""
    run = TasksInOrder(workers, failing, (Task(first + k) for k in range(count)))
    return list(run.results())


def test_results_are_in_order_and_counted() -> None:
    workers = Workers()
    assert results(workers, 50) == list(range(3, 53))
    assert (workers.traffic.done, workers.traffic.again, workers.traffic.seconds) == (50, 0, 50.0)
    assert workers.traffic.answers > 0
    assert (workers.busy, workers.most) == (0, 4)


def test_tasks_are_taken_a_few_ahead() -> None:
    workers, taken = Workers(), 0

    def tasks() -> Any:
        nonlocal taken
        for index in range(3, 1000):
            taken += 1
            yield Task(index)

    run = TasksInOrder(workers, failing, tasks())
    given = run.results()
    assert [next(given) for _ in range(10)] == list(range(3, 13))
    assert taken <= 10 + 16
    run.end()


def test_an_error_is_raised_at_its_place_and_the_rest_is_given_up() -> None:
    workers = Workers()
    run, found = TasksInOrder(workers, failing, (Task(k) for k in range(9))), []
    with pytest.raises(ModelError, match="the third"):
        found.extend(run.results())
    run.end()
    assert found == [0, 1]
    assert workers.busy == 0


@pytest.mark.parametrize(
    ("told", "noted"),
    [([Answer(missing="k")], "lacks"), (["cancelled"], "lost"), (["lost"], "lost")],
)
def test_a_task_is_sent_again_where_its_worker_lacked_a_value_or_was_lost(
    told: list[str | Answer], noted: str
) -> None:
    workers = Workers({4: told})
    assert results(workers) == list(range(3, 9))
    assert workers.noted == [(noted, 4)]
    assert workers.traffic.again == 1
    assert workers.busy == 0


def test_answers_that_cannot_be_fetched_are_lost() -> None:
    workers = Workers()
    workers.gathers = False
    assert results(workers) == list(range(3, 9))
    assert {kind for kind, _ in workers.noted} == {"lost"}
    assert workers.busy == 0


def test_a_task_is_not_sent_for_ever() -> None:
    with pytest.raises(ClusterError, match="sent 8 times, and its workers have no room"):
        results(Workers({4: [Answer(missing="k")] * 20}))
    with pytest.raises(ClusterError, match="sent 8 times, and its workers were lost"):
        results(Workers({4: ["cancelled"] * 20}))


def test_other_versions_end_the_run() -> None:
    with pytest.raises(ClusterError, match="worker at w has numpy 2 instead of 1: install the"):
        results(Workers({4: [Answer(unlike="numpy 2 instead of 1")]}))


def test_a_failure_ends_the_run() -> None:
    with pytest.raises(ClusterError, match="it failed"):
        results(Workers({4: ["error"]}))


def test_without_hope_a_lost_task_is_not_sent_again() -> None:
    workers = Workers({4: ["cancelled"]})
    workers.hopeless = True
    with pytest.raises(ClusterError, match="no hope"):
        results(workers)


def test_without_hope_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.executors.tasks_in_order._WAIT", 0.001)
    workers = Workers()
    workers.hopeless, workers.busy = True, 4  # no worker ever takes a task
    with pytest.raises(ClusterError, match="no hope"):
        results(workers)


def test_what_is_on_its_way_is_cancelled_in_the_end() -> None:
    workers = Workers()
    run = TasksInOrder(workers, failing, (Task(k) for k in range(3, 100)))
    next(run.results())
    run.end()
    assert workers.busy == 0
    assert len(workers.cancelled) == 4


def test_a_task_that_nobody_does_is_given_up_and_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onnx_evoq.executors.tasks_in_order._WAIT", 0.001)
    monkeypatch.setattr("onnx_evoq.executors.tasks_in_order._STUCK", 0.01)
    workers = Workers({5: ["pending"]})
    assert results(workers) == list(range(3, 9))
    assert workers.asked == 2  # it is asked twice, as a task may be between two workers
    assert workers.cancelled == workers.pending
    assert workers.noted == [("lost", 5)]
    assert workers.traffic.again == 1
    assert workers.busy == 0


def test_a_task_that_a_worker_does_for_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.executors.tasks_in_order._WAIT", 0.001)
    monkeypatch.setattr("onnx_evoq.executors.tasks_in_order._STUCK", 0.01)
    workers = Workers({5: ["pending"]})
    over: list[Callable[[Any], None]] = []
    original = workers.submit

    def submit(work: Any, worker: str, ended: Callable[[Any], None]) -> Promise:
        over.append(ended)
        return original(work, worker, ended)

    def not_in_work(promises: Sequence[Promise]) -> list[Promise]:
        workers.asked += 1
        if workers.asked == 4:
            (promise,) = workers.pending
            promise.status, promise.answer = "finished", Answer(1.0, packed(parts_of(5)[0]))
            over[0](promise)
        return []

    monkeypatch.setattr(workers, "submit", submit)
    monkeypatch.setattr(workers, "not_in_work", not_in_work)
    assert results(workers) == list(range(3, 9))
    assert workers.asked == 4
    assert workers.cancelled == []
    assert workers.traffic.again == 0
