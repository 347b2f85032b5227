"""The folder of temporary files, and the error if it has no room."""

import os
import tempfile

from onnx_evoq.errors import StorageError


def temporary_folder() -> str:
    """The folder of temporary files."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is no such folder at all
        return os.environ.get("TMPDIR", "any folder")


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
