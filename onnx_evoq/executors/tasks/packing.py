"""Turn values into bytes and back, with references in them, and without copies of arrays in vain.

The bytes are those of pickle, with the data of arrays behind them, each at a multiple of 64 bytes:
matrix products may depend on where arrays lie. Equal values have equal bytes, as a rule, so that
their hash is a key; where they have not, a value is only sent again.
"""

import io
import pickle
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.executors.tasks.executor import Reference

Packed = NDArray[np.uint8]

_ALIGNMENT = 64
_COUNT = struct.Struct("<Q")


class _Pickler(pickle.Pickler):
    """Writes references as their keys, and notes them."""

    def __init__(self, file: io.BytesIO, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffers.append)
        self.found: dict[str, Reference[Any]] = {}

    def persistent_id(self, value: object) -> str | None:
        if not isinstance(value, Reference):
            return None
        self.found[value.key] = value
        return value.key


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, key: str) -> Reference[Any]:
        return Reference(key)


def parts_of(value: object) -> tuple[list[memoryview], list[Reference[Any]]]:
    """The bytes of a value in parts, of which those of arrays are no copies, and its references.

    Args:
        value: what pickle takes.
    """
    file, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    pickler = _Pickler(file, buffers)
    pickler.dump(value)
    return [file.getbuffer(), *(each.raw() for each in buffers)], list(pickler.found.values())


def packed(parts: Sequence[memoryview]) -> Packed:
    """Parts of bytes as one array: their number and lengths, and each of them aligned."""
    lengths = [part.nbytes for part in parts]
    head = b"".join(map(_COUNT.pack, (len(parts), *lengths)))
    size = _aligned(len(head)) + sum(map(_aligned, lengths))
    whole, place = np.zeros(size, np.uint8), _aligned(len(head))
    whole[: len(head)] = np.frombuffer(head, np.uint8)
    for part, length in zip(parts, lengths, strict=True):
        whole[place : place + length] = np.frombuffer(part, np.uint8)
        place += _aligned(length)
    return whole


def unpacked(whole: Packed) -> Any:
    """The value of packed parts; its arrays are views, which cannot be written.

    Example:
        >>> unpacked(packed(parts_of({"a": 1})[0]))
        {'a': 1}
    """
    if whole.ctypes.data % _ALIGNMENT:
        whole = _moved(whole)
    whole = whole.view()
    whole.flags.writeable = False
    data = whole.data
    (count,) = _COUNT.unpack_from(data)
    lengths = [_COUNT.unpack_from(data, _COUNT.size * (index + 1))[0] for index in range(count)]
    place, parts = _aligned(_COUNT.size * (count + 1)), list[memoryview]()
    for length in lengths:
        parts.append(data[place : place + length])
        place += _aligned(length)
    return _Unpickler(io.BytesIO(parts[0]), buffers=parts[1:]).load()


def key_of(parts: Sequence[memoryview]) -> str:
    """A hash of the bytes of a value."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(_COUNT.pack(part.nbytes))
        digest.update(part)
    return digest.hexdigest()


def _aligned(length: int) -> int:
    return length + -length % _ALIGNMENT


def _moved(whole: Packed) -> Packed:
    """A copy whose first byte lies at a multiple of the alignment."""
    room = np.empty(whole.size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    copy = room[start : start + whole.size]
    copy[...] = whole
    return copy
