"""Runs that do not depend on each other: one after another on all cores, or several at a time.

One session that uses all cores for each run competes with several runs at a time that use one core
each. Which is faster depends on the model; both give the same numbers. So the first work is the
trial: work of the same kind is done in the one way and in the other in turn, until it is clear
which is faster.

The runs are threads of this process. ONNX Runtime lets go of Python's lock while it computes, so
that threads use the cores as processes would, share the tensors that cross the cut, and start at
once.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock
from typing import TypeVar

from onnx_evoq.score.session import Session

Result = TypeVar("Result")
Task = Callable[[Session], Result]  # one run
Job = Iterable[Task[Result]]  # the runs for one candidate, which are made when their turn comes

_CLEAR = 0.1  # seconds after which the times of a way are worth something
_AT_LEAST = 2  # times of a way; the first runs of a session are slow


class Crew:
    """Does jobs on one model.

    Args:
        open_session: opens the model for runs on so many cores each; None for all of them.
        workers: runs at a time, at most.
    """

    def __init__(self, open_session: Callable[[int | None], Session], workers: int = 1) -> None:
        self._open = open_session
        self._workers = workers
        self._whole: Session | None = open_session(None)
        self._single: Session | None = None  # opened by the trial
        self._pool: ThreadPoolExecutor | None = None
        # Seconds that work of a kind took: one by one, and side by side.
        self._took: dict[Hashable, tuple[list[float], list[float]]]
        self._took = defaultdict(lambda: ([], []))
        self.side_by_side: bool | None = False if workers == 1 else None

    def do(self, jobs: Sequence[Job[Result]], kind: Hashable = None) -> list[list[Result]]:
        """The results of each job's tasks, in their order.

        Args:
            jobs: what to do.
            kind: equal for work that costs about the same, so that its times can be compared.
        """
        if self.side_by_side is None and len(jobs) >= self._workers:
            return self._trial(jobs, kind)
        return self._side_by_side(jobs) if self.side_by_side else self._one_by_one(jobs)

    def _trial(self, jobs: Sequence[Job[Result]], kind: Hashable) -> list[list[Result]]:
        if self._single is None:
            self._single, self._pool = self._open(1), ThreadPoolExecutor(self._workers)
        one_by_one, side_by_side = self._took[kind]
        turn = len(side_by_side) < len(one_by_one)
        began = time.perf_counter()
        results = self._side_by_side(jobs) if turn else self._one_by_one(jobs)
        (side_by_side if turn else one_by_one).append(time.perf_counter() - began)
        if all(len(t) >= _AT_LEAST and sum(t) >= _CLEAR for t in (one_by_one, side_by_side)):
            self.side_by_side = min(side_by_side) < min(one_by_one)
            if self.side_by_side:
                self._whole = None
            else:
                self._single = self._pool = None
        return results

    def _one_by_one(self, jobs: Sequence[Job[Result]]) -> list[list[Result]]:
        assert self._whole is not None  # until the other way was found to be faster
        return [[task(self._whole) for task in job] for job in jobs]

    def _side_by_side(self, jobs: Sequence[Job[Result]]) -> list[list[Result]]:
        assert self._single is not None
        assert self._pool is not None
        session, left, lock = self._single, _places(jobs), Lock()
        results: list[dict[int, Result]] = [{} for _ in jobs]
        failed = False

        def work() -> None:
            while not failed:
                with lock:
                    job, place, task = next(left, (0, 0, None))
                if task is None:
                    return
                results[job][place] = task(session)

        futures = [self._pool.submit(work) for _ in range(self._workers)]
        try:
            for future in futures:
                future.result()
        except BaseException:  # an interrupt, too, must not leave runs behind
            failed = True
            wait(futures)
            raise
        return [[by_place[place] for place in sorted(by_place)] for by_place in results]


def _places(jobs: Sequence[Job[Result]]) -> Iterator[tuple[int, int, Task[Result]]]:
    for job, tasks in enumerate(jobs):
        for place, task in enumerate(tasks):
            yield job, place, task
