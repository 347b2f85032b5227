"""A run pool gives the results of all jobs in their order, in whichever way it does the runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from threading import Barrier, get_ident

import pytest

from onnx_evoq.score.run_pool import Run, RunPool


def jobs(count: int, runs: int = 3) -> list[list[Run[tuple[int, int]]]]:
    return [[lambda j=job, r=run: (j, r) for run in range(runs)] for job in range(count)]  # type: ignore[misc]


def expected(count: int, runs: int = 3) -> list[list[tuple[int, int]]]:
    return [[(job, run) for run in range(runs)] for job in range(count)]


def parallel() -> RunPool:
    """A pool whose trial is over: it does runs side by side."""
    pool = RunPool(workers=2)
    pool.side_by_side = True
    return pool


def timed(seconds: Sequence[float]) -> RunPool:
    """A pool whose trials seem to take these times."""
    readings = [reading for each in seconds for reading in (0.0, each)]
    return RunPool(workers=2, clock=iter(readings).__next__)


def decisions(pool: RunPool, times: int, kind: Callable[[int], object] = str) -> list[bool | None]:
    """What the trial says after each time that it does the same work."""
    decided = []
    for index in range(times):
        assert pool.do(jobs(3), kind(index)) == expected(3)  # type: ignore[arg-type]
        decided.append(pool.side_by_side)
    return decided


def same(index: int) -> str:
    return "some work"


def test_one_worker_needs_no_trial() -> None:
    alone = RunPool()
    assert alone.side_by_side is False
    assert alone.do(jobs(20), "some work") == expected(20)
    assert alone.side_by_side is False


def test_the_trial_does_work_in_both_ways_in_turn() -> None:
    pool, threads = timed([0.0] * 5), []
    for _ in range(4):
        pool.do([[lambda: threads.append(get_ident())]], "some work")
    assert [thread == get_ident() for thread in threads] == [False, True, False, True]


def test_the_way_with_the_smallest_time_wins() -> None:
    # Side by side first: 9 and 0.03 seconds; one by one: 0.04 and 0.04.
    assert decisions(timed([9, 0.04, 0.03, 0.04]), 4, same) == [None, None, None, True]
    assert decisions(timed([0.04, 9, 0.04, 0.03]), 4, same) == [None, None, None, False]


def test_equal_times_mean_one_by_one() -> None:
    assert decisions(timed([0.03] * 4), 4, same)[-1] is False


def test_each_way_needs_two_times() -> None:
    assert decisions(timed([5.0, 9.0, 5.0]), 3, same) == [None] * 3


def test_each_way_needs_a_twentieth_of_a_second_in_total() -> None:
    assert decisions(timed([0.05, 0.05, 0, 0]), 4, same)[-1] is not None
    assert decisions(timed([0.05, 0.04, 0, 0]), 4, same)[-1] is None
    assert decisions(timed([0.04, 0.05, 0, 0]), 4, same)[-1] is None


def test_only_times_of_work_of_the_same_kind_are_compared() -> None:
    assert decisions(timed([1.0] * 8), 8, str) == [None] * 8


def test_work_of_no_kind_takes_no_part_in_the_trial() -> None:
    pool, threads = timed([]), []
    for _ in range(4):
        pool.do([[lambda: threads.append(get_ident())]])
    assert get_ident() not in threads
    assert pool.side_by_side is None


def test_after_the_trial_work_is_done_in_the_faster_way() -> None:
    for side_by_side in (True, False):
        pool, threads = timed([]), []
        pool.side_by_side = side_by_side
        pool.do([[lambda: threads.append(get_ident())]], "some work")  # noqa: B023
        assert (threads[0] != get_ident()) is side_by_side


def test_runs_side_by_side_are_done_at_the_same_time() -> None:
    meeting = Barrier(2)
    meet = [lambda: meeting.wait(timeout=10) >= 0]
    assert parallel().do([meet, meet]) == [[True], [True]]


def test_a_real_clock_ends_the_trial() -> None:
    pool = RunPool(workers=2)
    slow = [[lambda: time.sleep(0.026)]]
    for _ in range(4):
        pool.do(slow, "some work")
    assert pool.side_by_side is not None


def test_jobs_may_end_early() -> None:
    given = [job[:count] for count, job in enumerate(jobs(3))]
    assert parallel().do(given) == [[], [(1, 0)], [(2, 0), (2, 1)]]


def test_jobs_are_iterated_only_when_their_turn_comes() -> None:
    made = 0

    def job() -> Iterator[Run[int]]:
        nonlocal made
        made += 1
        mine = made
        yield lambda: mine
        yield lambda: made - mine

    results = parallel().do([job() for _ in range(50)])
    assert [first for first, _ in results] == list(range(1, 51))
    assert max(ahead for _, ahead in results) <= 2


def test_a_failure_ends_the_work() -> None:
    pool, done = parallel(), 0

    def fail() -> None:
        raise ValueError("no")

    def work() -> None:
        nonlocal done
        done += 1
        time.sleep(0.001)

    with pytest.raises(ValueError, match="no"):
        pool.do([[work] * 3, [fail], [work] * 200])
    assert done < 50
    assert pool.do(jobs(2)) == expected(2)


def test_an_interrupt_ends_the_work() -> None:
    pool, done = parallel(), 0

    def interrupted() -> Iterator[Run[None]]:
        def work() -> None:
            nonlocal done
            done += 1

        for index in range(1000):
            if index == 10:
                raise KeyboardInterrupt
            yield work

    with pytest.raises(KeyboardInterrupt):
        pool.do([interrupted()])
    assert done <= 10
