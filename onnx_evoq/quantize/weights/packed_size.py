"""The bytes of codes and steps that are packed bit by bit."""

import numpy as np

from onnx_evoq.quantize.weights.fixed_point import Bits, FixedPoint


def packed_size(count: int, bits: Bits) -> int:
    """Whole bytes of `count` codes that are packed bit by bit: the sum of their widths / 8.

    Args:
        count: number of codes, the same in each channel.
        bits: width of the codes, one for all channels or one per channel.

    Example:
        >>> packed_size(10, 6), packed_size(10, (2, 5))  # 60 bits; 5 * 2 + 5 * 5 = 35
        (8, 5)
    """
    widths = np.atleast_1d(bits)
    return -(-count * int(widths.sum()) // (8 * len(widths)))


def packed_steps(grid: FixedPoint) -> int:
    """Bytes of a grid's steps: one each if all are powers of two (frac_bits), else four (float32).

    Example:
        >>> [packed_steps(FixedPoint(4, np.float32(step))) for step in (0.125, 0.1)]
        [1, 4]
    """
    return int(grid.step.size) * (4 if grid.frac_bits is None else 1)
