"""A lock on a folder, so that one process at a time works in it.

The system frees the lock when its process ends, however that happens, so that no lock is ever
stale. The file beside it only says who holds it.
"""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from onnx_evoq.errors import OptionError

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: it exists.

    Raises:
        OptionError: another process holds it.
        OSError: the folder cannot be written.
    """
    holder = folder / "lock.json"
    with (folder / "lock").open("a") as file:  # never removed: another process may wait for it
        try:
            _take(file)
        except OSError as cause:
            raise OptionError(
                f"{folder}: {_who(holder)} works there: wait for its end, or name another folder."
            ) from cause
        with suppress(OSError):  # who holds it only serves a message
            holder.write_text(json.dumps({"process": os.getpid(), "host": platform.node()}))
        try:
            yield
        finally:
            with suppress(OSError):
                holder.unlink(missing_ok=True)


def _who(holder: Path) -> str:
    """The process that holds a lock, as far as it says who it is."""
    try:
        said = json.loads(holder.read_text())
        return f"process {said['process']} on {said['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
