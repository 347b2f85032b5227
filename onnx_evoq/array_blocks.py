"""Go through large arrays block by block.

What is computed from a block is small, where a copy of the whole array would not fit into memory.
Pages of a mapped file count as memory of the process once they are used, so they are given back
after each block; the system reads them again if they are needed again.
"""

import mmap
from collections.abc import Iterator
from types import EllipsisType
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array

_BLOCK = 2**24  # bytes
Rows: TypeAlias = slice | EllipsisType
_Number = TypeVar("_Number", bound=np.generic)


def row_blocks(array: Array, most_bytes: int = _BLOCK) -> Iterator[Rows]:
    """Slices of the first axis of an array that together are all of it, each of few bytes.

    Args:
        array: (rows, ...) any array; one without axes is a block of its own.
        most_bytes: of a block, if a row has no more.

    Example:
        >>> list(row_blocks(np.zeros((5, 2)), most_bytes=32))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if not array.ndim:
        yield ...
        return
    rows = array.shape[0]
    step = max(1, most_bytes * rows // max(1, array.nbytes))
    for start in range(0, max(1, rows), step):  # an empty array is one empty block
        yield slice(start, min(start + step, rows))


def blocks(array: NDArray[_Number]) -> Iterator[tuple[Rows, NDArray[_Number]]]:
    """The blocks of an array with their slices, in order; pages of a mapped file are given back."""
    for rows in row_blocks(array):
        block = array[rows]
        yield rows, block
        release(block)


def rows_of(array: NDArray[_Number], rows: Rows) -> NDArray[_Number]:
    """The part of an array that goes with a block of another one, which it broadcasts to."""
    return array[rows] if array.ndim and array.shape[0] > 1 else array


def release(array: Array) -> None:
    """Give the pages of an array back to the system, if it is a view of a mapped file."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    if not array.flags.c_contiguous or not array.size:
        return
    start = _address(array) - _address(np.frombuffer(base, np.uint8))
    end = start + array.nbytes
    start -= start % mmap.PAGESIZE
    base.madvise(mmap.MADV_DONTNEED, start, end - start)


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
