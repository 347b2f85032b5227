"""Runs that do not depend on each other: one after another, or several at a time.

A session that scores candidates gives one core to a run. So the sums in it are made in one order,
and its numbers are the same to the bit however many runs there are at a time; with several cores to
a run, ONNX Runtime's matrix products are not. Runs at a time are faster than cores to a run, too,
on most models; on the smallest, handing runs to threads costs more than the runs do. So the first
work is a trial: work of the same kind is done in the one way and in the other in turn, until it is
clear which is faster.

The runs are threads of this process. ONNX Runtime lets go of Python's lock while it computes, so
that threads use the cores as processes would, share the tensors that cross the cut, and start at
once.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Lock
from typing import TypeVar

Result = TypeVar("Result")
Run = Callable[[], Result]  # one run
# The runs for one candidate, made when their turn comes, and never two at the same moment.
Job = Iterable[Run[Result]]

_CLEAR = 0.05  # seconds after which the times of a way are worth something
_AT_LEAST = 2  # times of a way; the first runs of a session are slow


class RunPool:
    """Does jobs, several runs at a time where a trial finds that faster.

    Example:
        >>> RunPool(workers=2).do([[lambda: 1, lambda: 2], [lambda: 3]])
        [[1, 2], [3]]

    Args:
        workers: runs at a time, at most.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._pool = None if workers == 1 else ThreadPoolExecutor(workers)
        # Seconds that work of a kind took: side by side, and one by one.
        self._took: dict[Hashable, tuple[list[float], list[float]]]
        self._took = defaultdict(lambda: ([], []))
        self.side_by_side: bool | None = False if workers == 1 else None  # None: not clear yet

    def do(self, jobs: Sequence[Job[Result]], kind: Hashable = None) -> list[list[Result]]:
        """The results of each job's tasks, in their order.

        Args:
            jobs: what to do.
            kind: equal for work that costs about the same, so that its times can be compared; None
                for work that is no part of the trial, and goes side by side while that is open.
        """
        if self.side_by_side is None and kind is not None:
            return self._trial(jobs, kind)
        return self._one_by_one(jobs) if self.side_by_side is False else self._side_by_side(jobs)

    def _trial(self, jobs: Sequence[Job[Result]], kind: Hashable) -> list[list[Result]]:
        side_by_side, one_by_one = self._took[kind]
        alone = len(one_by_one) < len(side_by_side)
        began = time.perf_counter()
        results = self._one_by_one(jobs) if alone else self._side_by_side(jobs)
        (one_by_one if alone else side_by_side).append(time.perf_counter() - began)
        if all(len(t) >= _AT_LEAST and sum(t) >= _CLEAR for t in (one_by_one, side_by_side)):
            self.side_by_side = min(side_by_side) < min(one_by_one)
        return results

    def _one_by_one(self, jobs: Sequence[Job[Result]]) -> list[list[Result]]:
        return [[task() for task in job] for job in jobs]

    def _side_by_side(self, jobs: Sequence[Job[Result]]) -> list[list[Result]]:
        assert self._pool is not None  # as there are several workers
        left, lock, stopped = _places(jobs), Lock(), False
        results: list[dict[int, Result]] = [{} for _ in jobs]

        def work() -> None:
            while not stopped:
                with lock:
                    job, index, task = next(left, (0, 0, None))
                if task is None:
                    return
                results[job][index] = task()

        futures: list[Future[None]] = []
        try:
            futures += (self._pool.submit(work) for _ in range(self._workers))
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # a failure or an interrupt leaves no runs behind
            stopped = True
            wait(futures)
        for future in futures:
            future.result()
        return [[by_place[index] for index in sorted(by_place)] for by_place in results]


def _places(jobs: Sequence[Job[Result]]) -> Iterator[tuple[int, int, Run[Result]]]:
    for job, tasks in enumerate(jobs):
        for index, task in enumerate(tasks):
            yield job, index, task
