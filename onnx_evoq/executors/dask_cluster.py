"""Do tasks on the workers of a Dask cluster. No other file imports distributed.

Dask knows the workers, moves values between them, and hands a task to another worker if one is
lost. Which worker gets which task is decided here (`dispatch`), so that samples stay where their
activations are. Each worker remembers what it was sent; what it has dropped is sent again.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from threading import RLock
from typing import Any, TypeVar

from distributed import KilledWorker

from onnx_evoq.errors import ClusterError
from onnx_evoq.executors.dispatch import Choice, Dispatch
from onnx_evoq.executors.held_values import HeldValues
from onnx_evoq.executors.scatter import scattered
from onnx_evoq.executors.tasks import (
    Executor,
    Memory,
    Reference,
    Task,
    Threads,
    packed,
    parts_of,
)
from onnx_evoq.executors.tasks_in_order import TasksInOrder
from onnx_evoq.executors.traffic import Traffic
from onnx_evoq.executors.worker_side import Answer, Order, perform, versions

_LOOK = 1.0  # seconds after which the list of workers is read again
PATIENCE = 60.0  # seconds without any worker after which the run stops

ValueT = TypeVar("ValueT")
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


class DaskCluster:
    """Does tasks on the workers of a Dask cluster.

    Args:
        client: connected to the scheduler.
        address: of the scheduler, as the user named it.
        threads: of this process, for work that is too small to be sent.
        patience: seconds without any worker after which the run stops.

    Attributes:
        near: threads of this process.
        traffic: what was sent.
    """

    def __init__(self, client: Any, address: str, threads: int, patience: float = PATIENCE) -> None:
        self._client, self._address, self._patience = client, address, patience
        self.near: Executor = Threads(threads)
        self._lock = RLock()
        self._dispatch = Dispatch()
        self._neighbours: dict[str, int] = {}  # workers on the machine of each worker
        self._values = HeldValues()
        self._has: dict[str, set[str]] = {}  # keys of what each worker got
        self._coming: dict[str, set[str]] = {}  # and of what is on its way to it
        self._carried: dict[Any, tuple[str, list[str]]] = {}  # keys that a task brings to a worker
        self._versions = versions()
        self._looked = -_LOOK
        self._without: float | None = None  # since when no worker was there
        self.traffic = Traffic()

    @property
    def workers(self) -> int:
        """How many workers there are now; at least 1."""
        with self._lock:
            self._look()
            return max(1, len(self._dispatch.workers))

    def hold(self, value: ValueT) -> Reference[ValueT]:
        """A reference to a value, which is sent to each worker that needs it, once."""
        with self._lock:
            return self._values.hold(value)

    def map(
        self, function: Callable[[Memory, ArgumentT], ResultT], tasks: Iterable[Task[ArgumentT]]
    ) -> Generator[ResultT]:
        """Do tasks, and yield their results in the order of the tasks, as `Executor.map` says."""
        run = TasksInOrder(self, function, tasks)
        try:
            yield from run.results()
        finally:
            run.end()

    def choose(self, waiting: dict[int, Task[Any]]) -> Choice | None:
        """Give one of some tasks to a worker; None if none is free."""
        with self._lock:
            self._look()
            choice = self._dispatch.choose({number: each.home for number, each in waiting.items()})
            if choice is not None:
                self._dispatch.began(choice, waiting[choice.task].home)
            return choice

    def ended(self, choice: Choice) -> None:
        """Take in that a worker needs its task no more."""
        with self._lock:
            self._dispatch.ended(choice.worker)

    def submit(self, work: object, worker: str, ended: Callable[[Any], None]) -> Any:
        """Send a task to a worker, with the values that it lacks.

        Args:
            work: the function and its argument.
            worker: its address.
            ended: is called with the future once the task is over.
        """
        parts, references = parts_of(work)
        with self._lock:
            self._values.let_go()
            try:
                values = self._lacking(worker, references)
                order = Order(packed(parts), self._versions, self._neighbours.get(worker, 1))
                self.traffic.tasks += order.work.nbytes
                future = self._client.submit(
                    perform, order, values, workers=[worker], allow_other_workers=True, pure=False
                )
                self._carried[future] = worker, list(values)
                future.add_done_callback(ended)
                return future
            except (OSError, TimeoutError, RuntimeError) as cause:
                raise self._lost_scheduler() from cause

    def lacks(self, worker: str, work: object) -> None:
        """Take in that a worker lacks some of the values that a task needs."""
        with self._lock:
            for known in (self._has, self._coming):
                known.get(worker, set()).difference_update(self._values.closure(parts_of(work)[1]))

    def lost(self, promise: Any, work: object) -> None:
        """Take in that a task is lost; the values that it needs may be on no worker any more."""
        with self._lock:
            self._carried.pop(promise, None)
            self._looked = -_LOOK
            for key in self._values.closure(parts_of(work)[1]):
                self._values[key].future = None
                for known in (*self._has.values(), *self._coming.values()):
                    known.discard(key)

    def check(self) -> None:
        """Raise a ClusterError if the scheduler is lost, or if there was no worker for long."""
        with self._lock:
            self._look()
            if self._without is not None and self._looked - self._without > self._patience:
                raise ClusterError(
                    f"the cluster at {self._address} has had no worker for {self._patience:.0f} "
                    "seconds: start workers (dask worker)."
                )

    def not_in_work(self, promises: Sequence[Any]) -> list[Any]:
        """Those of some tasks that no worker has or has done, as far as the scheduler knows."""
        with self._lock:
            try:
                in_work = {key for keys in self._client.processing().values() for key in keys}
            except (OSError, TimeoutError, RuntimeError) as cause:
                raise self._lost_scheduler() from cause
        return [each for each in promises if each.status == "pending" and each.key not in in_work]

    def gather(self, promises: Sequence[Any]) -> list[Answer] | None:
        """The answers of tasks that are done; None if some of them were lost meanwhile."""
        try:
            answers: list[Answer] = self._client.gather(list(promises))
        except (CancelledError, OSError, TimeoutError):
            return None
        with self._lock:
            for promise in promises:
                worker, keys = self._carried.pop(promise)
                self._has.get(worker, set()).update(keys)
        return answers

    def failure(self, promise: Any) -> ClusterError:
        """Why a task could not be done at all."""
        cause = promise.exception()
        if isinstance(cause, KilledWorker):
            return ClusterError(
                "a task ended several workers one after the other, as it does where memory is "
                "short: give the workers more memory, or start fewer on each machine."
            )
        return ClusterError(
            f"a worker cannot do its task ({type(cause).__name__}: {cause}): install onnx-evoq in "
            "the same version on all machines."
        )

    def cancel(self, promises: Sequence[Any]) -> None:
        """Nobody waits for some tasks any more."""
        with self._lock:
            for promise in promises:
                self._carried.pop(promise, None)
        with suppress(OSError):  # the scheduler was lost just now, and its tasks with it
            if self._client.status == "running":
                self._client.cancel(list(promises), force=True)

    def _lost_scheduler(self) -> ClusterError:
        return ClusterError(
            f"the connection to the scheduler at {self._address} is lost: start it and its workers "
            "again."
        )

    def _look(self) -> None:
        """Read the list of workers, now and then."""
        if self._client.status != "running":  # what asks it would try for long to connect again
            raise self._lost_scheduler()
        if time.monotonic() - self._looked < _LOOK:
            return
        try:
            found = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError, RuntimeError) as cause:
            raise self._lost_scheduler() from cause
        self._looked = time.monotonic()
        if found:
            self._without = None
        elif self._without is None:
            self._without = self._looked
        on_hosts = Counter(each["host"] for each in found.values())
        self._neighbours = {name: on_hosts[each["host"]] for name, each in found.items()}
        self._has = {name: self._has.get(name, set()) for name in found}
        self._coming = {name: self._coming.get(name, set()) for name in found}
        self._dispatch.present(sorted(found))

    def _is_there(self, worker: str) -> bool:
        """Whether the scheduler knows a worker, now."""
        self._looked = -_LOOK
        self._look()
        return worker in self._has

    def _lacking(self, worker: str, references: Iterable[Reference[Any]]) -> dict[str, Any]:
        """The values that a worker has not got yet, by key.

        A task that needs what an earlier one brings may begin before that one.
        """
        has = self._has.setdefault(worker, set())
        coming = self._coming.setdefault(worker, set())
        lacking = {
            key: self._values[key] for key in self._values.closure(references) if key not in has
        }
        nowhere = [
            held
            for held in lacking.values()
            if held.future is None or held.future.status != "finished"
        ]
        if nowhere:
            wholes = [packed(parts_of(held.value)[0]) for held in nowhere]
            futures = scattered(self._client, wholes, worker, lambda: self._is_there(worker))
            for held, future in zip(nowhere, futures, strict=True):
                held.future = future
        self.traffic.values += sum(lacking[key].size for key in lacking.keys() - coming)
        coming.update(lacking)
        return {key: held.future for key, held in lacking.items() if held.future is not None}
