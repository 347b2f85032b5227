"""Files that are there as a whole or not at all, also after the power was lost."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from onnx_evoq.errors import StorageError

TEMPORARY = ".part-"  # how the name of a file begins that is not complete yet
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # no room, or no quota


@contextmanager
def replacing_file(path: Path, *, durable: bool) -> Iterator[IO[bytes]]:
    """Open a new file, which takes the place of a path once it is complete; it can be read, too.

    Args:
        path: in a folder that exists.
        durable: whether to wait until the disk has it.
    """
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        _wait_for(path.parent)


def _wait_for(folder: Path) -> None:
    """Wait until the disk has the names of a folder, where the system knows such a thing."""
    with contextlib.suppress(OSError):  # Windows opens no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def no_room_for(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into a `StorageError` of one sentence.

    Args:
        path: a file of the run, which is written.
    """
    try:
        yield
    except OSError as cause:
        full = cause.errno in _FULL
        remedy = "make room there" if full else "see to it that files can be written there"
        raise StorageError(
            f"{path.parent}: the state of the run cannot be written "
            f"({cause.strerror or cause}): {remedy}, and go on with --resume; what was kept before "
            "is intact."
        ) from cause


@contextmanager
def new_folder_of_a_run(folder: Path) -> Iterator[None]:
    """Make a folder, and turn an error of the operating system into a `StorageError`.

    Args:
        folder: the folder; what makes its first files stands within.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as cause:
        raise StorageError(
            f"{folder}: no run can be kept there ({cause.strerror or cause}): name another folder."
        ) from cause
