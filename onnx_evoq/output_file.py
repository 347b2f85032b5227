"""Write a file whole or not at all, and through what is no regular file.

A path leads to its place through links, as the system follows them. A regular file there, or none,
is replaced by a file that was written beside it. A pipe and a character device stay what they are:
the content goes through them, and so it does where the path is this process's standard output.
"""

import contextlib
import os
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnx_evoq.errors import OutputError

_STDOUT = 1  # its file descriptor
_PREFIX = ".onnx-evoq-"  # of a file that is not whole yet
_REFUSED = (
    (stat.S_ISDIR, "is a folder: name a file in it."),
    (stat.S_ISSOCK, "is a socket: name a file."),
    (stat.S_ISBLK, "is a block device: name a file."),
)


def check_writable(path: str | Path) -> None:
    """Make sure that `write_file` will be able to write `path`, before hours go into its content.

    It opens nothing that is there already: opening a pipe would wait for its reader.

    Raises:
        OutputError: the folder is missing or read-only, or `path` is a folder, a socket, a block
            device, a link that leads nowhere but to itself, or a file that may not be written.
    """
    path = Path(path)
    with _one_sentence(path):
        if not is_stdout(path) and _is_replaced(_found(path)):
            with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=_PREFIX):
                pass


def write_file(path: str | Path, content: bytes) -> None:
    """Write `content` to where `path` leads.

    A regular file is replaced as a whole and keeps its mode and, where this process may set that,
    its owner. A new one gets the mode that the process gives to all its files.

    Raises:
        OutputError: it cannot be written; an older regular file is still whole then.

    Example:
        >>> write_file("model.w6.onnx", b"...")  # doctest: +SKIP
    """
    path = Path(path)
    with _one_sentence(path):
        if is_stdout(path):
            with os.fdopen(_STDOUT, "wb", buffering=0, closefd=False) as file:
                _write_all(file, content)
            return
        found = _found(path)
        if _is_replaced(found):
            _replace(path.resolve(), found, content)
        else:
            with os.fdopen(os.open(path, os.O_WRONLY), "wb", buffering=0) as file:
                _write_all(file, content)


def write_stdout(content: bytes) -> None:
    """Write `content` to standard output.

    Nothing of it stays in a buffer, so that nothing fails once more when the process ends.

    Raises:
        OutputError: it cannot be written, as its reader is gone, say.
    """
    with _one_sentence("standard output"):
        sys.stdout.flush()
        _write_all(getattr(sys.stdout.buffer, "raw", sys.stdout.buffer), content)


def is_stdout(path: str | Path) -> bool:
    """Whether `path` leads to the pipe or the regular file that is the standard output."""
    try:
        found = os.fstat(_STDOUT)
        same = os.path.samestat(Path(path).stat(), found)
    except OSError:  # one of them is not there
        return False
    return same and (stat.S_ISFIFO(found.st_mode) or stat.S_ISREG(found.st_mode))


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file, or will once they are written."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


@contextlib.contextmanager
def _one_sentence(name: str | Path) -> Iterator[None]:
    """Tell what the system says of a file as this package does."""
    try:
        yield
    except OSError as cause:
        raise OutputError(
            f"{name}: cannot be written ({cause.strerror}): choose another place."
        ) from cause


def _found(path: Path) -> os.stat_result | None:
    """What is there, links followed; None for nothing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    for is_kind, sentence in _REFUSED:
        if is_kind(found.st_mode):
            raise OutputError(f"{path}: {sentence}")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{path}: may not be written: change its mode, or name another file.")
    return found


def _is_replaced(found: os.stat_result | None) -> bool:
    return found is None or stat.S_ISREG(found.st_mode)


def _replace(place: Path, older: os.stat_result | None, content: bytes) -> None:
    """Write a file beside `place`, then rename it."""
    temporary = place.with_name(f"{_PREFIX}{uuid.uuid4().hex}")
    # The system takes the umask off the mode. What replaces a private file is private from the
    # start.
    temporary.touch(0o666 if older is None else 0o600, exist_ok=False)
    try:
        temporary.write_bytes(content)
        if older is not None:
            _take_after(temporary, older)
        temporary.replace(place)
    except BaseException:  # an interrupt, too, leaves nothing behind
        temporary.unlink()
        raise


def _take_after(file: Path, older: os.stat_result) -> None:
    """Give a file the owner of an older one, as far as this process may do so, and its mode."""
    if hasattr(os, "chown"):  # not on every system
        for user, group in ((-1, older.st_gid), (older.st_uid, -1)):
            with contextlib.suppress(PermissionError):
                os.chown(file, user, group)
    file.chmod(stat.S_IMODE(older.st_mode))


def _write_all(file: Any, content: bytes) -> None:
    """Write to a file without a buffer, which may take a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]  # None: a pipe that does not wait is full
