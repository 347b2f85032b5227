"""Go through large arrays block by block.

What is computed from a block is small, where a copy of the whole array would not fit into memory.
Pages of a mapped file count as memory of the process once they are used, so they are given back
after each block; the system reads them again if they are needed again.
"""

import mmap
import tempfile
from collections.abc import Iterator
from types import EllipsisType
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.output_file import write_all
from onnx_evoq.temporary_folder import no_room

_BLOCK = 2**24  # bytes
_IN_MEMORY = 2**28  # bytes
Rows: TypeAlias = slice | EllipsisType
_Number = TypeVar("_Number", bound=np.generic)


def row_blocks(array: Array, most_bytes: int | None = None) -> Iterator[Rows]:
    """Slices of the first axis of an array that together are all of it, each of few bytes.

    Args:
        array: (rows, ...) any array; one without axes is a block of its own.
        most_bytes: of a block, if a row has no more; None for 16 MB.

    Example:
        >>> list(row_blocks(np.zeros((5, 2)), most_bytes=32))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if not array.ndim:
        yield ...
        return
    rows = array.shape[0]
    step = max(1, (most_bytes or _BLOCK) * rows // max(1, array.nbytes))
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


def extremes(array: NDArray[np.floating]) -> tuple[float, float]:
    """The smallest and the largest number of an array; NaN if it holds NaN, or is empty.

    Example:
        >>> extremes(np.array([[2.0, -1.0], [0.5, 0.0]]))
        (-1.0, 2.0)
    """
    if not array.size:
        return float("nan"), float("nan")
    found = [(float(block.min()), float(block.max())) for _, block in blocks(array)]
    low, high = np.array(found).T
    return float(low.min()), float(high.max())


def has_infinity(array: NDArray[np.floating]) -> bool:
    """Whether an array holds an infinite number."""
    found = extremes(array)
    if np.isnan(found).all():  # any NaN hides the others
        return any(bool(np.isinf(block).any()) for _, block in blocks(array))
    return bool(np.isinf(found).any())


def largest_magnitudes(array: NDArray[np.floating], axis: int | None = None) -> Array:
    """max|x| along an axis, (channels,), or of all, (); 0 where there is no number.

    Example:
        >>> largest_magnitudes(np.array([[2.0, -3.0], [0.5, 0.0]]), axis=1)
        array([2., 3.])
    """
    others = None if axis is None else tuple(a for a in range(array.ndim) if a != axis)
    found = [
        np.maximum(block.max(axis=others, initial=0.0), -block.min(axis=others, initial=0.0))
        for _, block in blocks(array)
    ]
    return np.asarray(np.concatenate(found) if axis == 0 else np.max(found, axis=0))


def converted(array: Array, dtype: type[_Number], in_memory: int = _IN_MEMORY) -> NDArray[_Number]:
    """An array in another type; a very large one in a temporary file that is mapped.

    Args:
        array: any array.
        dtype: the type.
        in_memory: bytes of a copy in memory, at most.

    Returns:
        `array` itself if it is of that type.

    Raises:
        StorageError: there is no room for a temporary file.
    """
    size = array.size * np.dtype(dtype).itemsize
    if array.dtype == dtype or size <= in_memory:
        return np.asarray(array, dtype)
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            for _, block in blocks(array):
                write_all(file, np.ascontiguousarray(block, dtype).reshape(-1).view(np.uint8).data)
            copy = np.memmap(file, dtype, "r", shape=array.shape)  # keeps the file
    except OSError as cause:
        raise no_room(size, cause) from cause
    return copy.view(np.ndarray)


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
