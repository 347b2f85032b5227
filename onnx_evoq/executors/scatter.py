"""Send values to a worker of a Dask cluster, and give up once the worker is lost.

Dask's scheduler hands the values on. It tries for half a minute to reach a worker that was lost
just before, and the client would wait for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

_LOOK = 1.0  # seconds after which the worker is looked for again


def scattered(
    client: Any, values: Sequence[Any], worker: str, is_there: Callable[[], bool]
) -> list[Any]:
    """Dask's names of values that a worker got; None for each if it was lost meanwhile.

    Args:
        client: connected to the scheduler.
        values: the values.
        worker: its address.
        is_there: whether the scheduler knows the worker, now.
    """
    loop = client.loop.asyncio_loop  # an error, before anything is begun, if the client is closed
    sending = client.scatter(values, workers=[worker], hash=False, asynchronous=True)
    sent = asyncio.run_coroutine_threadsafe(sending, loop)
    while True:
        try:
            futures: list[Any] = sent.result(timeout=_LOOK)
            return futures
        except (KeyError, OSError):  # it was lost just now, or nothing came so far (TimeoutError)
            if not is_there() or sent.done():
                sent.cancel()
                return [None] * len(values)
        except BaseException:
            sent.cancel()
            raise
