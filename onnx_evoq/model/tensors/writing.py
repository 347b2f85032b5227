"""Write the values of tensors to a data file, one after another.

The first byte of a large tensor lies at a multiple of 4096, as ONNX Runtime's own files have it, so
that the system can map it; that of a small one at a multiple of 64.
"""

from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from onnx_evoq.array_blocks import blocks
from onnx_evoq.array_types import Array
from onnx_evoq.model.tensors.place import is_external, place_of
from onnx_evoq.model.tensors.values import mapped
from onnx_evoq.output_file import write_all

_PAGE, _LINE = 4096, 64
_LARGE = 2**16  # bytes


class DataFile:
    """A data file that is being written.

    Attributes:
        path: of the file.
        end: bytes that were written.

    Args:
        file: an empty file, without a buffer.
        path: of the file.
    """

    def __init__(self, file: IO[bytes], path: str) -> None:
        self._file, self.path, self.end = file, path, 0

    def append(self, length: int, parts: Iterable[Array]) -> int:
        """Write the values of a tensor, and return the offset of their first byte.

        Args:
            length: of all parts, in bytes.
            parts: arrays whose bytes follow each other.
        """
        alignment = _PAGE if length >= _LARGE else _LINE
        offset = self.end + -self.end % alignment
        self._file.seek(offset)
        for part in parts:
            write_all(self._file, np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        self.end = offset + length
        return offset


def raw_blocks(tensor: TensorProto) -> Iterator[NDArray[np.uint8]]:
    """The bytes of the values of a tensor, as a file holds them, in parts (bytes,)."""
    if is_external(tensor):
        raw = mapped(place_of(tensor))
    elif tensor.HasField("raw_data"):
        raw = np.frombuffer(tensor.raw_data, np.uint8)
    else:
        raw = np.frombuffer(
            numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data, np.uint8
        )
    yield from (block for _, block in blocks(raw))
