"""Write a file completely or not at all, and write into pipes and devices.

Links are followed. A new or regular file is written under another name and then renamed, so that
it is never half written. The content is written into a pipe, into a character device, and into this
process's standard output, without replacing them.
"""

import contextlib
import os
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from onnx_evoq.errors import OutputError

_STDOUT = 1  # its file descriptor
_PREFIX = ".onnx-evoq-"  # of a file that is not complete yet
_REFUSED = (
    (stat.S_ISDIR, "is a folder: name a file in it."),
    (stat.S_ISSOCK, "is a socket: name a file."),
    (stat.S_ISBLK, "is a block device: name a file."),
)


def check_writable(path: str | Path) -> None:
    """Check that `write_file` can write a path, before hours are spent on the content.

    Existing files are not opened, because opening a pipe would wait for its reader.

    Raises:
        OutputError: the folder is missing or read-only, or `path` is a folder, a socket, a block
            device, a link that leads nowhere but to itself, or a file that may not be written.
    """
    path = Path(path)
    with _one_sentence(path):
        if is_replaced(path):
            with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=_PREFIX):
                pass


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file, pipe, device or the standard output.

    A regular file is replaced in one step. It keeps its mode and, if this process may set it, its
    owner. A new file gets the mode that the process gives to all its files.

    Raises:
        OutputError: the file cannot be written. An older regular file is still complete then.

    Example:
        >>> write_file("model.w6.onnx", b"...")  # doctest: +SKIP
    """
    path = Path(path)
    with _one_sentence(path):
        if is_stdout(path):
            with os.fdopen(_STDOUT, "wb", buffering=0, closefd=False) as file:
                write_all(file, content)
            return
        existing = _existing(path)
        if _is_regular(existing):
            with replacing(path) as (file,):
                write_all(file, content)
        else:
            with os.fdopen(os.open(path, os.O_WRONLY), "wb", buffering=0) as file:
                write_all(file, content)


def write_stdout(content: bytes) -> None:
    """Write to standard output, without a buffer that could fail again when the process ends.

    Raises:
        OutputError: it cannot be written, for example because its reader is gone.
    """
    if sys.stdout is None:
        raise OutputError("standard output: is closed: open it, or name a file.")
    with _one_sentence("standard output"):
        sys.stdout.flush()
        write_all(getattr(sys.stdout.buffer, "raw", sys.stdout.buffer), content)


def print_stdout(text: str) -> None:
    """Print a line on standard output, if it is open.

    Raises:
        OutputError: it cannot be written, for example because the disk is full.
    """
    if sys.stdout is None:
        return
    with _one_sentence("standard output"):
        try:
            print(text, flush=True)
        except OSError:
            # What is left in the buffer would fail again, with a traceback, when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
            raise


def is_stdout(path: str | Path) -> bool:
    """Whether a path leads to the pipe or the regular file that is the standard output."""
    try:
        stdout = os.fstat(_STDOUT)
        same = os.path.samestat(Path(path).stat(), stdout)
    except OSError:  # one of them does not exist
        return False
    return same and (stat.S_ISFIFO(stdout.st_mode) or stat.S_ISREG(stdout.st_mode))


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to the same file, even if it does not exist yet."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them does not exist
        return os.path.realpath(one) == os.path.realpath(other)


def is_replaced(path: str | Path) -> bool:
    """Whether `write_file` replaces what is at a path: it is no pipe, device or standard output.

    Raises:
        OutputError: it cannot be written.
    """
    with _one_sentence(path):
        return not is_stdout(path) and _is_regular(_existing(Path(path)))


@contextlib.contextmanager
def _one_sentence(name: str | Path) -> Iterator[None]:
    """Turn an error of the operating system into an `OutputError` of one sentence."""
    try:
        yield
    except OSError as cause:
        raise OutputError(
            f"{name}: cannot be written ({cause.strerror}): choose another place."
        ) from cause


def _existing(path: Path) -> os.stat_result | None:
    """The status of an existing file, links followed; None if it does not exist.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    for is_kind, sentence in _REFUSED:
        if is_kind(status.st_mode):
            raise OutputError(f"{path}: {sentence}")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{path}: may not be written: change its mode, or name another file.")
    return status


def _is_regular(existing: os.stat_result | None) -> bool:
    """Whether a path is written by replacing it: it is new, or a regular file."""
    return existing is None or stat.S_ISREG(existing.st_mode)


@contextlib.contextmanager
def replacing(*paths: str | Path) -> Iterator[Sequence[IO[bytes]]]:
    """Open new files, without buffers, that replace those of some paths together at the end.

    If anything fails before they are renamed, no path has changed.

    Args:
        paths: of new or regular files.

    Raises:
        OutputError: a file cannot be written.

    Example:
        >>> with replacing("net.onnx.data", "net.onnx") as (data, model):  # doctest: +SKIP
        ...     write_all(data, b"...")
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_one_sentence(paths[-1]))
        places = [(Path(path).resolve(), _existing(Path(path))) for path in paths]
        for path, existing in zip(paths, (existing for _, existing in places), strict=True):
            if not _is_regular(existing):
                raise OutputError(f"{path}: is no regular file: name another file.")
        temporaries = [stack.enter_context(_temporary(*place)) for place in places]
        files = [stack.enter_context(file.open("wb", buffering=0)) for file in temporaries]
        yield files
        for file in files:
            file.close()
        for (_, older), temporary in zip(places, temporaries, strict=True):
            if older is not None:
                _copy_owner_and_mode(older, temporary)
        for (path, _), temporary in zip(places, temporaries, strict=True):
            temporary.replace(path)


@contextlib.contextmanager
def _temporary(path: Path, older: os.stat_result | None) -> Iterator[Path]:
    """An empty file beside a path; it is gone afterwards, whatever happens."""
    temporary = path.with_name(f"{_PREFIX}{uuid.uuid4().hex}")
    # The system applies the umask. A file that replaces a private one is private from the start.
    temporary.touch(0o666 if older is None else 0o600, exist_ok=False)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _copy_owner_and_mode(older: os.stat_result, file: Path) -> None:
    """Give a file the mode of an older one and, as far as this process may, its owner."""
    if hasattr(os, "chown"):  # not on every system
        for user, group in ((-1, older.st_gid), (older.st_uid, -1)):
            with contextlib.suppress(PermissionError):
                os.chown(file, user, group)
    file.chmod(stat.S_IMODE(older.st_mode))


def write_all(file: IO[bytes], content: bytes | memoryview) -> None:
    """Write to an unbuffered file, which may write a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]  # None: a pipe that does not wait is full
