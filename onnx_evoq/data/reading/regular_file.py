"""Check that a path is a file whose reading ends."""

import stat
from pathlib import Path

from onnx_evoq.errors import DataError

_OTHERS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, or leads to one.

    Raises:
        DataError: it is a folder, a pipe or a device, or does not exist.
    """
    try:
        mode = path.stat().st_mode
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror}.") from cause
    if not stat.S_ISREG(mode):
        kind = next((word for is_kind, word in _OTHERS if is_kind(mode)), "a device")
        raise DataError(f"{path}: is {kind}, and no file: remove or replace it.")
