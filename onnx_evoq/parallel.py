"""Work side by side in threads, with results that do not depend on how many there are.

NumPy and ONNX Runtime release Python's global lock while they compute. So threads use the cores as
processes would, and share all arrays. Each of them computes with one core (`one_blas_thread`):
threads of a BLAS library wait for each other by spinning, which on a busy machine took ten times
the CPU time, and their number changes the order of sums, and so the last bits of a result.
"""

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Parameters = ParamSpec("Parameters")


def one_blas_thread(function: Callable[Parameters, ResultT]) -> Callable[Parameters, ResultT]:
    """Decorate a function: while it runs, each BLAS call of the process uses one core."""

    @functools.wraps(function)
    def limited(*arguments: Parameters.args, **options: Parameters.kwargs) -> ResultT:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*arguments, **options)

    return limited


def _nothing() -> None:
    pass


def in_order(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    workers: int,
    end: Callable[[], None] = _nothing,
) -> Generator[ResultT]:
    """Apply a function to items side by side, and yield the results in the order of the items.

    At most one result per worker is kept until it is asked for, so that memory stays bounded.

    Args:
        function: must not depend on the order of calls.
        items: what it is applied to; they are taken one by one as the work goes on.
        workers: calls at the same time, at most. 1 makes no thread.
        end: makes running calls end soon; it is called where an exception, such as Ctrl-C, ends the
            work, before these calls are waited for.

    Raises:
        Exception: what the function raised, at the place of its result. No call is left running.

    Example:
        >>> list(in_order(abs, [-1, 2, -3], workers=2))
        [1, 2, 3]
    """
    if workers <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[ResultT]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        end()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
