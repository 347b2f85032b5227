"""Send tasks to workers, a few at a time, and give their results in order.

The executor knows workers and values; here is what becomes of one sequence of tasks. A task is sent
again where its worker lacked a value that it had dropped, or was lost.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from onnx_evoq.errors import ClusterError
from onnx_evoq.executors.dispatch import AT_ONCE, Choice
from onnx_evoq.executors.tasks import Task, unpacked
from onnx_evoq.executors.traffic import Traffic
from onnx_evoq.executors.worker_side import Answer

_AHEAD = 4  # tasks that are taken before their turn, for each one that workers have
_WAIT = 0.2  # seconds after which the workers are looked at again
_STUCK = 3.0  # seconds without news after which it is asked whether anybody does the tasks
_MOST_TIMES = 8  # that a task is sent, where workers are lost or lack values


class Promise(Protocol):
    """A task on its way, such as a future of Dask."""

    @property
    def status(self) -> str:
        """It is "finished", "error", "cancelled" or "lost" in the end."""
        ...


class Workers(Protocol):
    """Where tasks are sent to."""

    traffic: Traffic

    @property
    def workers(self) -> int:
        """How many there are now."""
        ...

    def choose(self, waiting: dict[int, Task[Any]]) -> Choice | None:
        """Give one of some tasks to a worker; None if none is free."""
        ...

    def ended(self, choice: Choice) -> None:
        """A worker needs its task no more."""
        ...

    def submit(self, work: object, worker: str, ended: Callable[[Any], None]) -> Any:
        """Send a task to a worker; `ended` is called with the promise once it is over."""
        ...

    def lacks(self, worker: str, work: object) -> None:
        """A worker lacks values that a task needs."""
        ...

    def lost(self, promise: Any, work: object) -> None:
        """A task is lost; the values that it needs may be on no worker any more."""
        ...

    def check(self) -> None:
        """Raise a ClusterError if there is no hope."""
        ...

    def not_in_work(self, promises: Sequence[Any]) -> list[Any]:
        """Those of some tasks that no worker has or has done, as far as is known."""
        ...

    def gather(self, promises: Sequence[Any]) -> list[Answer] | None:
        """The answers of tasks that are over; None if some of them were lost meanwhile."""
        ...

    def failure(self, promise: Any) -> ClusterError:
        """Why a task could not be done at all."""
        ...

    def cancel(self, promises: Sequence[Any]) -> None:
        """Nobody waits for some tasks any more."""
        ...


@dataclass(frozen=True, eq=False)
class _Sent:
    """A task on its way, with its number and the one who has it."""

    number: int
    task: Task[Any]
    choice: Choice


class TasksInOrder:
    """Does a sequence of tasks.

    Args:
        workers: do the tasks.
        function: of a module.
        tasks: its arguments.
    """

    def __init__(
        self, workers: Workers, function: Callable[..., Any], tasks: Iterable[Task[Any]]
    ) -> None:
        self._workers, self._function = workers, function
        self._tasks = enumerate(tasks)
        self._taken = self._given = 0
        self._rest = True  # whether more tasks may come
        self._waiting: dict[int, Task[Any]] = {}
        self._sent: dict[Any, _Sent] = {}
        self._over: SimpleQueue[Any] = SimpleQueue()
        self._times: Counter[int] = Counter()
        self._news = time.monotonic()  # when the last task was over, or it was asked for the others
        self._stale: list[Any] = []  # those that no worker did then
        self._answers: dict[int, Answer] = {}

    def results(self) -> Iterator[Any]:
        """The results, in the order of the tasks.

        Raises:
            Exception: what the function raised, at the place of its result.
            ClusterError: the tasks cannot be done.
        """
        while True:
            self._take()
            self._send()
            if self._given in self._answers:
                answer = self._answers.pop(self._given)
                self._given += 1
                if answer.raised is not None:
                    raise answer.raised
                assert answer.result is not None
                yield unpacked(answer.result)
            elif self._sent or self._waiting:
                self._wait()
            else:
                return

    def end(self) -> None:
        """Give up what is not done."""
        for sent in self._sent.values():
            self._workers.ended(sent.choice)
        if self._sent:
            self._workers.cancel(list(self._sent))
        self._sent.clear()

    def _take(self) -> None:
        most = _AHEAD * AT_ONCE * self._workers.workers if self._rest else 0
        while self._rest and self._taken - self._given < most and len(self._waiting) < most:
            number, task = next(self._tasks, (-1, None))
            if task is None:
                self._rest = False
                return
            self._waiting[number] = task
            self._taken += 1

    def _send(self) -> None:
        while (choice := self._workers.choose(self._waiting)) is not None:
            task = self._waiting.pop(choice.task)
            self._times[choice.task] += 1
            work = self._function, task.argument
            try:
                promise = self._workers.submit(work, choice.worker, self._over.put)
            except BaseException:
                self._workers.ended(choice)
                raise
            self._sent[promise] = _Sent(choice.task, task, choice)

    def _wait(self) -> None:
        """Wait for tasks that are over, and take in what became of them."""
        over = []
        try:
            over.append(self._over.get(timeout=_WAIT))
            while True:
                over.append(self._over.get_nowait())
        except Empty:
            pass
        if not over:
            self._workers.check()
            over = self._stuck()
        else:
            self._news, self._stale = time.monotonic(), []
        finished = [promise for promise in over if promise.status == "finished"]
        answers = self._workers.gather(finished) if finished else []
        for promise, answer in zip(finished, answers or (), strict=False):
            self._take_in(self._sent.pop(promise), answer)
        for promise in over:
            sent = self._sent.pop(promise, None)
            if sent is None:
                continue
            self._workers.ended(sent.choice)
            if promise.status == "error":
                raise self._workers.failure(promise)
            self._workers.check()
            self._workers.lost(promise, (self._function, sent.task.argument))
            self._again(sent, "its workers were lost")

    def _stuck(self) -> list[Any]:
        """Tasks that no worker has done for long, which are given up.

        Where workers come and go, a scheduler may wait for a value that went with one of them.
        """
        if time.monotonic() - self._news < _STUCK:
            return []
        before, self._stale = self._stale, self._workers.not_in_work(list(self._sent))
        self._news = time.monotonic()
        stuck = [promise for promise in self._stale if promise in before]
        if stuck:
            self._workers.cancel(stuck)
        return stuck

    def _take_in(self, sent: _Sent, answer: Answer) -> None:
        traffic = self._workers.traffic
        self._workers.ended(sent.choice)
        if answer.unlike:
            raise ClusterError(
                f"the worker at {sent.choice.worker} has {answer.unlike}: install the same "
                "versions on all machines."
            )
        if answer.missing:
            self._workers.lacks(sent.choice.worker, (self._function, sent.task.argument))
            self._again(sent, "its workers have no room for what it needs: give them more memory")
            return
        traffic.done += 1
        traffic.seconds += answer.seconds
        traffic.answers += 0 if answer.result is None else answer.result.nbytes
        self._answers[sent.number] = answer

    def _again(self, sent: _Sent, why: str) -> None:
        if self._times[sent.number] >= _MOST_TIMES:
            raise ClusterError(f"a task was sent {_MOST_TIMES} times, and {why}.")
        self._workers.traffic.again += 1
        self._waiting = {sent.number: sent.task, **self._waiting}
