"""Runtimes that fail, for a process that imports them by name."""

import os
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def echo(content: bytes, feed: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    """The inputs; but a file b"crash" ends the process, b"hang" waits, and b"no" is refused."""
    if content == b"crash":
        print("no room left", flush=True)
        os._exit(3)
    if content == b"signal":
        os.abort()
    if content == b"hang":
        time.sleep(60)
    if content == b"no":
        raise ValueError("Exception from a.cpp:1:\nUnsupported data type INT2\n")
    return list(feed.values())
