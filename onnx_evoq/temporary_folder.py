"""The folder of temporary files, those that have names, and the error if there is no room."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from onnx_evoq.errors import StorageError

_named = set[Path]()  # files that exist now


def temporary_folder() -> str:
    """The folder of temporary files."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is no such folder at all
        return os.environ.get("TMPDIR", "any folder")


@contextlib.contextmanager
def named_file() -> Iterator[IO[Any]]:
    """A temporary file with a name, without a buffer; it is gone afterwards.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        file = tempfile.NamedTemporaryFile(prefix="onnx-evoq-", buffering=0)  # noqa: SIM115
    except OSError as cause:
        raise no_room(0, cause) from cause
    path = Path(file.name)
    _named.add(path)
    try:
        with file:
            yield file
    finally:
        _named.discard(path)


def remove_named_files() -> None:
    """Remove the files of `named_file` that threads still use, before the process ends at once."""
    for path in list(_named):
        with contextlib.suppress(OSError):  # open files stay where the system does not remove them
            path.unlink()


def no_room(needed: int, cause: OSError) -> StorageError:
    """The error if temporary files cannot be written.

    Args:
        needed: bytes that the folder must hold.
        cause: what the system says.
    """
    return StorageError(
        f"no room for temporary files in {temporary_folder()}, which must hold "
        f"{needed / 1e6:.3g} MB by now ({cause.strerror or cause}): set TMPDIR to a folder with "
        "more room, or allow more memory (--memory)."
    )
