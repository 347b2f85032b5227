"""Work side by side: results in order, few at a time, and no call that is left running."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from onnx_evoq.parallel import in_order, one_blas_thread


def taken(count: int, log: list[int]) -> Iterator[int]:
    """Items that are logged when they are taken."""
    for index in range(count):
        log.append(index)
        yield index


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 8])
def test_results_are_in_the_order_of_the_items(workers: int) -> None:
    assert list(in_order(lambda x: x * x, range(20), workers)) == [x * x for x in range(20)]
    assert list(in_order(abs, [], workers)) == []


def test_a_late_result_keeps_its_place() -> None:
    second = threading.Event()

    def work(index: int) -> int:
        if index == 0:
            assert second.wait(10)  # the second item is done before the first
        if index == 1:
            second.set()
        return index

    assert list(in_order(work, range(4), 2)) == [0, 1, 2, 3]


def test_as_many_calls_run_at_a_time_as_there_are_workers() -> None:
    both = threading.Barrier(2, timeout=10)
    running: list[int] = []
    lock, most = threading.Lock(), [0]

    def work(index: int) -> None:
        with lock:
            running.append(index)
            most[0] = max(most[0], len(running))
        both.wait()  # passes only if two calls run together
        with lock:
            running.remove(index)

    assert len(list(in_order(work, range(6), 2))) == 6
    assert most == [2]


def test_one_worker_makes_no_thread_and_works_when_a_result_is_asked_for() -> None:
    log: list[int] = []
    results = in_order(lambda _: threading.get_ident(), taken(5, log), 1)
    assert next(results) == threading.get_ident()
    assert log == [0]


@pytest.mark.parametrize("workers", [2, 3])
def test_few_items_are_taken_before_their_results_are_asked_for(workers: int) -> None:
    log: list[int] = []
    results = in_order(abs, taken(100, log), workers)
    for index in range(50):
        assert next(results) == index
        assert len(log) <= index + workers + 1
    results.close()
    assert len(log) <= 50 + workers


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_is_raised_at_its_place(workers: int) -> None:
    def work(index: int) -> int:
        if index == 3:
            raise ValueError("the fourth")
        return index

    results, found = in_order(work, range(20), workers), []
    with pytest.raises(ValueError, match="the fourth"):
        found.extend(results)
    results = in_order(work, range(20), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(results)


@pytest.mark.parametrize("ends", ["an error", "no more interest"])
def test_no_call_is_left_running(ends: str) -> None:
    begun, running = threading.Event(), [0]
    lock = threading.Lock()

    def work(index: int) -> int:
        with lock:
            running[0] += 1
        try:
            if index == 1:
                begun.set()
                threading.Event().wait(0.05)
            elif index == 0:
                assert begun.wait(10)
                if ends == "an error":
                    raise ValueError
            return index
        finally:
            with lock:
                running[0] -= 1

    before = threading.active_count()
    results = in_order(work, range(100), 2)
    if ends == "an error":
        with pytest.raises(ValueError):  # noqa: PT011
            next(results)
    else:
        next(results)
        results.close()
    assert running == [0]
    assert threading.active_count() == before


def test_blas_uses_one_core_while_a_function_runs() -> None:
    def threads() -> set[int]:
        np.ones((2, 2)) @ np.ones((2, 2))
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    @one_blas_thread
    def function(one: int, *, other: int) -> tuple[int, set[int]]:
        """Its text."""
        return one + other, threads()

    before = threads()
    total, used = function(1, other=2)
    assert total == 3
    assert used <= {1}
    assert threads() == before
    assert (function.__name__, function.__doc__) == ("function", "Its text.")


def test_running_calls_are_told_to_end_before_they_are_waited_for() -> None:
    told = threading.Event()

    def work(index: int) -> bool:
        if index == 0:
            raise ValueError("the first")
        return told.wait(10)

    with pytest.raises(ValueError, match="the first"):
        list(in_order(work, range(4), 2, told.set))
    assert told.is_set()
    calls: list[None] = []
    assert list(in_order(abs, [-1, 2], 2, lambda: calls.append(None))) == [1, 2]
    assert calls == []
