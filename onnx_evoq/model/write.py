"""Write a file whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from onnx_evoq.errors import OutputError


def check_writable(path: str | Path) -> None:
    """Make sure that `write_file` will be able to write `path`, before hours go into its content.

    Raises:
        OutputError: the folder is missing or read-only, or `path` is a folder.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder: name a file in it.")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as cause:
        raise OutputError(
            f"{path}: cannot be written ({cause.strerror}): choose another place."
        ) from cause


def write_file(path: str | Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename it to `path`.

    Raises:
        OutputError: it cannot be written; an older file of that name is still whole then.
    """
    path = Path(path)
    check_writable(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp makes it private
        Path(temporary).replace(path)
    except OSError as cause:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise OutputError(
            f"{path}: cannot be written ({cause.strerror}): choose another place."
        ) from cause
