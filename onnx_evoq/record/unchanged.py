"""Notices a file of a run that something else has changed: edited, cut or put in another's place.

    archive     ends in the comment of a zip file: the SHA-256 of a key and of all bytes before it
    JSON file   has the key "check": the SHA-256 of all else that it holds

The key of an archive names its run and its place there, so that a copy of another file, which is
whole, does not fit. It is checked before anything is made of the bytes. This keeps accidents from
a result, and no one who means to deceive: the hashes hold no secret.
"""

import json
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from onnx_evoq.errors import OptionError

_CHECK = "check"  # the key in a JSON file
_DIGITS = 64  # of a SHA-256
_BLOCK = 1 << 20  # bytes that are read at a time


def seal_archive(file: IO[bytes], key: str) -> None:
    """End a zip archive with the check of its content.

    Args:
        file: the archive, open for reading and writing.
        key: names the run and the place of the file.
    """
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"0" * _DIGITS
    size = file.seek(0, 2)
    found = _hash_of(file, size - _DIGITS, key)
    file.seek(size - _DIGITS)
    file.write(found)


def is_as_sealed(file: IO[bytes], key: str) -> bool:
    """Whether an archive is what `seal_archive` left under this key; then it can be read.

    Args:
        file: open for reading; it is at its beginning afterwards.
        key: names the run and the place of the file.
    """
    size = file.seek(0, 2)
    found = _hash_of(file, size - _DIGITS, key) == file.read(_DIGITS)
    file.seek(0)
    return found


def _hash_of(file: IO[bytes], size: int, key: str) -> bytes:
    """The SHA-256 of a key and of so many bytes of a file, as hexadecimal digits."""
    found, left = sha256(key.encode() + b"\0"), max(0, size)
    file.seek(0)
    while left and (block := file.read(min(left, _BLOCK))):
        found.update(block)
        left -= len(block)
    return found.hexdigest().encode()


def checked_text(values: Mapping[str, Any]) -> bytes:
    """Values as the content of a JSON file that has a check."""
    return json.dumps({**values, _CHECK: _check_of(values)}, indent=1).encode()


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file, whether it was changed or not.

    Raises:
        OSError: the file cannot be read.
        OptionError: it holds something else.
    """
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as cause:
        raise _changed(path) from cause
    if not isinstance(values, dict):
        raise _changed(path)
    return values


def unchanged(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """What a file held when it was written, without its check.

    Args:
        path: the file, for the message.
        values: what `read_object` read from it.

    Raises:
        OptionError: it was changed since.
    """
    held = {name: value for name, value in values.items() if name != _CHECK}
    if values.get(_CHECK) != _check_of(held):
        raise _changed(path)
    return held


def _check_of(values: Mapping[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _changed(path: Path) -> OptionError:
    return OptionError(
        f"{path}: was changed or damaged since onnx-evoq wrote it: put it back as it was, or begin "
        "anew in another folder."
    )
