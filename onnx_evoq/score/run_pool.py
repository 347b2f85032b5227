"""Do runs that do not depend on each other: one by one, or several at a time.

A session that scores candidates gives one core to a run. So it adds up in one order, and its
numbers are the same to the bit however many runs there are at a time. With several cores to a run,
the matrix products of ONNX Runtime are not. On most models, several runs at a time are also faster
than several cores to a run. On the smallest models, handing runs to threads costs more than the
runs themselves. So a pool begins with a trial: it does work of the same kind in both ways in turn,
until it is clear which way is faster.

The runs are threads of this process. ONNX Runtime releases Python's global lock while it computes.
So threads use the cores as processes would, but they share the cached activations and start at
once.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Lock
from typing import TypeVar

Value = TypeVar("Value")
Run = Callable[[], Value]
# The runs for one candidate. A job is iterated lazily, and by one thread at a time.
Runs = Iterable[Run[Value]]

_ENOUGH_SECONDS = 0.05  # in total, for the times of a way to be reliable
_ENOUGH_TIMES = 2  # the first runs of a session are slow


class RunPool:
    """Does jobs, with several runs at a time where a trial finds that faster.

    Example:
        >>> RunPool(workers=2).do([[lambda: 1, lambda: 2], [lambda: 3]])
        [[1, 2], [3]]

    Args:
        workers: how many runs are done at a time, at most.
        clock: gives the time in seconds.

    Attributes:
        at_once: how many jobs should be given at a time: one, as its runs are done side by side.
        side_by_side: whether several runs are done at a time; None while the trial goes on.
    """

    at_once = 1

    def __init__(self, workers: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        self._workers = workers
        self._clock = clock
        self._pool = None if workers == 1 else ThreadPoolExecutor(workers)
        # Seconds that work of each kind took: side by side, and one by one.
        self._seconds: dict[Hashable, tuple[list[float], list[float]]]
        self._seconds = defaultdict(lambda: ([], []))
        self.side_by_side: bool | None = False if workers == 1 else None

    def do(self, jobs: Sequence[Runs[Value]], kind: Hashable = None) -> list[list[Value]]:
        """Do all runs, and return the results of each job in the order of its runs.

        Args:
            jobs: the runs.
            kind: equal for work that costs about the same, so that its times can be compared. None
                for work that takes no part in the trial; it is done side by side meanwhile.
        """
        if self.side_by_side is None and kind is not None:
            return self._trial(jobs, kind)
        return self._one_by_one(jobs) if self.side_by_side is False else self._side_by_side(jobs)

    def _trial(self, jobs: Sequence[Runs[Value]], kind: Hashable) -> list[list[Value]]:
        """Do the jobs in the way that was timed less often, and decide once both ways are clear."""
        side_by_side, one_by_one = self._seconds[kind]
        alone = len(one_by_one) < len(side_by_side)
        began = self._clock()
        results = self._one_by_one(jobs) if alone else self._side_by_side(jobs)
        (one_by_one if alone else side_by_side).append(self._clock() - began)
        if all(
            len(seconds) >= _ENOUGH_TIMES and sum(seconds) >= _ENOUGH_SECONDS
            for seconds in (one_by_one, side_by_side)
        ):
            self.side_by_side = min(side_by_side) < min(one_by_one)
        return results

    def _one_by_one(self, jobs: Sequence[Runs[Value]]) -> list[list[Value]]:
        return [[run() for run in job] for job in jobs]

    def _side_by_side(self, jobs: Sequence[Runs[Value]]) -> list[list[Value]]:
        assert self._pool is not None  # as there are several workers
        remaining, lock, stopped = _numbered(jobs), Lock(), False
        results: list[dict[int, Value]] = [{} for _ in jobs]

        def work() -> None:
            while not stopped:
                with lock:
                    job, index, run = next(remaining, (0, 0, None))
                if run is None:
                    return
                results[job][index] = run()

        futures: list[Future[None]] = []
        try:
            futures += (self._pool.submit(work) for _ in range(self._workers))
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # a failure or an interrupt leaves no runs behind
            stopped = True
            wait(futures)
        for future in futures:
            future.result()
        return [[by_index[index] for index in sorted(by_index)] for by_index in results]


def _numbered(jobs: Sequence[Runs[Value]]) -> Iterator[tuple[int, int, Run[Value]]]:
    """Each run with the index of its job, and its own index in the job."""
    for job, runs in enumerate(jobs):
        for index, run in enumerate(runs):
            yield job, index, run
