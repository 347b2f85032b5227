"""A crew gives the results of all jobs in their order, whichever way was found to be faster."""

import threading
import time
from collections.abc import Iterator

import pytest

from onnx_evoq.score.crew import Crew, Task


class Opened:
    """Stands for a session: a run takes some seconds."""

    def __init__(self, threads: int | None, seconds: float) -> None:
        self.threads = threads
        self.seconds = seconds


def crew(workers: int, whole: float = 0.0, single: float = 0.0) -> Crew:
    def open_session(threads: int | None) -> Opened:
        return Opened(threads, whole if threads is None else single)

    return Crew(open_session, workers)  # type: ignore[arg-type]


def jobs(count: int, runs: int = 3) -> list[list[Task[tuple[int, int]]]]:
    def task(job: int, run: int) -> Task[tuple[int, int]]:
        def work(session: Opened) -> tuple[int, int]:
            time.sleep(session.seconds)
            return job, run

        return work  # type: ignore[return-value]

    return [[task(job, run) for run in range(runs)] for job in range(count)]


def expected(count: int, runs: int = 3) -> list[list[tuple[int, int]]]:
    return [[(job, run) for run in range(runs)] for job in range(count)]


def test_one_worker_needs_no_trial() -> None:
    alone = crew(1)
    assert alone.side_by_side is False
    assert alone.do(jobs(20)) == expected(20)


@pytest.mark.parametrize(("whole", "single", "faster"), [(0.01, 0.001, True), (0.001, 0.02, False)])
def test_the_faster_way_stays(whole: float, single: float, faster: bool) -> None:
    pair = crew(2, whole, single)
    while pair.side_by_side is None:
        assert pair.do(jobs(13)) == expected(13)
    assert pair.side_by_side is faster
    assert pair.do(jobs(13)) == expected(13)
    assert pair.do(jobs(1)) == expected(1)


def test_fewer_jobs_than_workers_are_no_trial() -> None:
    pair = crew(2, 0.05, 0.05)
    for _ in range(5):
        assert pair.do(jobs(1)) == expected(1)
    assert pair.side_by_side is None


def test_only_times_of_the_same_kind_are_compared() -> None:
    pair = crew(2, 0.02, 0.02)
    for kind in range(8):
        assert pair.do(jobs(2), kind) == expected(2)
    assert pair.side_by_side is None
    for _ in range(3):
        pair.do(jobs(2), 0)
    assert pair.side_by_side is True


def test_jobs_may_end_early() -> None:
    pair = crew(2, 0.01, 0.001)
    while pair.side_by_side is None:
        pair.do(jobs(13))
    given = [job[:count] for count, job in enumerate(jobs(3, runs=3))]
    assert pair.do(given) == [[], [(1, 0)], [(2, 0), (2, 1)]]


def test_a_failure_ends_the_work() -> None:
    pair = crew(2, 0.01, 0.001)
    while pair.side_by_side is None:
        pair.do(jobs(13))
    pulled = 0

    def failing() -> Iterator[Task[None]]:
        def fail(session: Opened) -> None:
            raise ValueError("no")

        nonlocal pulled
        for _ in range(1000):
            pulled += 1
            yield fail  # type: ignore[misc]

    threads = threading.active_count()
    with pytest.raises(ValueError, match="no"):
        pair.do([failing()])
    assert pulled <= 3
    assert threading.active_count() == threads
    assert pair.do(jobs(2)) == expected(2)
