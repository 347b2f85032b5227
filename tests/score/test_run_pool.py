"""A crew gives the results of all jobs in their order, whichever way was found to be faster."""

import time
from collections.abc import Iterator

import pytest

from onnx_evoq.score.run_pool import Run, RunPool


def jobs(count: int, runs: int = 3, seconds: float = 0.0) -> list[list[Run[tuple[int, int]]]]:
    def task(job: int, run: int) -> Run[tuple[int, int]]:
        def work() -> tuple[int, int]:
            if seconds:
                time.sleep(seconds)
            return job, run

        return work

    return [[task(job, run) for run in range(runs)] for job in range(count)]


def expected(count: int, runs: int = 3) -> list[list[tuple[int, int]]]:
    return [[(job, run) for run in range(runs)] for job in range(count)]


def settled() -> RunPool:
    """One that found runs at a time to be faster."""
    run_pool = RunPool(workers=2)
    run_pool.side_by_side = True
    return run_pool


def test_one_worker_needs_no_trial() -> None:
    alone = RunPool(workers=1)
    assert alone.do(jobs(20), "some") == expected(20)
    assert alone.side_by_side is False


def test_runs_that_take_time_are_done_side_by_side() -> None:
    pair = RunPool(workers=2)
    while pair.side_by_side is None:
        assert pair.do(jobs(3, seconds=0.01), "some") == expected(3)
    assert pair.side_by_side is True
    assert pair.do(jobs(3), "some") == expected(3)


def test_runs_that_take_none_are_done_one_by_one() -> None:
    pair = RunPool(workers=2)
    while pair.side_by_side is None:
        assert pair.do(jobs(30), "some") == expected(30)
    assert pair.side_by_side is False
    assert pair.do(jobs(30), "some") == expected(30)


def test_only_times_of_the_same_kind_are_compared() -> None:
    pair = RunPool(workers=2)
    for kind in range(8):
        assert pair.do(jobs(2, seconds=0.01), kind) == expected(2)
    assert pair.side_by_side is None


def test_work_of_no_kind_is_no_trial() -> None:
    pair = RunPool(workers=2)
    for _ in range(8):
        assert pair.do(jobs(2, seconds=0.01)) == expected(2)
    assert pair.side_by_side is None


def test_jobs_may_end_early() -> None:
    given = [job[:count] for count, job in enumerate(jobs(3))]
    assert settled().do(given) == [[], [(1, 0)], [(2, 0), (2, 1)]]


def test_jobs_are_made_when_their_turn_comes() -> None:
    made = 0

    def job() -> Iterator[Run[int]]:
        nonlocal made
        made += 1
        mine = made
        yield lambda: mine
        yield lambda: made - mine

    found = settled().do([job() for _ in range(50)])
    assert [first for first, _ in found] == list(range(1, 51))
    assert max(ahead for _, ahead in found) <= 2


def test_a_failure_ends_the_work() -> None:
    pair, done = settled(), 0

    def fail() -> None:
        raise ValueError("no")

    def work() -> None:
        nonlocal done
        done += 1
        time.sleep(0.001)

    with pytest.raises(ValueError, match="no"):
        pair.do([[work] * 3, [fail], [work] * 500])
    assert done < 50
    assert pair.do(jobs(2)) == expected(2)


def test_an_interrupt_ends_the_work() -> None:
    pair, done = settled(), 0

    def interrupted() -> Iterator[Run[None]]:
        def work() -> None:
            nonlocal done
            done += 1

        for index in range(1000):
            if index == 10:
                raise KeyboardInterrupt
            yield work

    with pytest.raises(KeyboardInterrupt):
        pair.do([interrupted()])
    assert done <= 10
