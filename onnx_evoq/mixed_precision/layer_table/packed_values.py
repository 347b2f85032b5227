"""Floats of which few differ, in fewer bits, as the values of a weight on a grid are.

The distinct values stand in a table, and each value is a number in it, of as many bits as the table
needs: 4 bits for a weight of 4 bits with one step, a few more with a step per channel. Values are
told apart by their bits, so that they come back as they were, -0 and NaN included.
"""

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float32Array

_TABLE, _PLACES, _COLUMNS, _PLAIN = "table", "places", "by columns", "plain"


def packed(values: Float32Array) -> dict[str, Array]:
    """Values as arrays that `unpacked` takes; as they are where a table would save nothing.

    Example:
        >>> arrays = packed(np.array([0.5, -0.5, 0.5, 0.5], np.float32))
        >>> arrays["table"].size, arrays["places"].nbytes
        (2, 1)
        >>> unpacked(arrays, (4,)).tolist()
        [0.5, -0.5, 0.5, 0.5]
    """
    by_columns = values.flags.fnc  # the order in memory stays, too
    rows = np.ascontiguousarray(values.T if by_columns else values)
    numbers = rows.reshape(-1).view(np.uint32)
    table = np.unique(numbers)
    bits = _bits(table)
    if table.nbytes + numbers.size * bits / 8 >= values.nbytes:
        return {_PLAIN: values}
    places = np.searchsorted(table, numbers)
    digits = np.empty((places.size, bits), np.uint8)
    for bit in range(bits):
        digits[:, bit] = (places >> bit) & 1
    return {_TABLE: table, _PLACES: np.packbits(digits), _COLUMNS: np.array(by_columns)}


def unpacked(arrays: Arrays, shape: tuple[int, ...]) -> Float32Array:
    """The values of a shape, of what `packed` gave."""
    if _PLAIN in arrays:
        return np.asarray(arrays[_PLAIN], np.float32)
    table, size = np.asarray(arrays[_TABLE], np.uint32), int(np.prod(shape))
    bits = _bits(table)
    digits = np.unpackbits(np.asarray(arrays[_PLACES], np.uint8), count=size * bits).reshape(
        size, bits
    )
    places = np.zeros(size, np.uint32)
    for bit in range(bits):
        places |= digits[:, bit].astype(np.uint32) << bit
    values = table[places].view(np.float32)
    return values.reshape(shape[::-1]).T if arrays[_COLUMNS] else values.reshape(shape)


def _bits(table: Array) -> int:
    """The bits of a number in a table."""
    return max(0, table.size - 1).bit_length()
