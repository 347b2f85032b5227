"""The N-bit fixed-point format: signed codes times a step, zero point 0.

Equations 1-3 of arXiv 2605.05228:

    int_bits  = ceil(log2(max|x|))                                              (1)
    frac_bits = bits - int_bits - 1,   step = 2^-frac_bits                       (2)
    q(x)      = step * clip(round(x / step), -2^(bits-1), 2^(bits-1) - 1)        (3)

with rounding half to even. A tensor has one step, or one for each channel along an axis; the width
may differ from channel to channel, too. By (1) a maximum that is itself a power of two is clipped:
1.0 has int_bits 0, the largest value of the grid is 1 - step, and 1.0 becomes 1 - step (-1.0 stays
-1.0).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_blocks import Rows, blocks, largest_magnitudes, rows_of
from onnx_evoq.array_types import Codes, Float32Array, Float64Array

Scale = Literal["pow2", "float"]
Bits = int | tuple[int, ...]  # one width, or one per channel
CodeLimit = int | NDArray[np.int16]  # one for all channels, or one per channel

# Steps stay normal float32 numbers, so that step * code is exact where they are powers of two.
_MIN_EXPONENT = -126
_BITS_OF_TYPE = 8  # of the type that holds codes


def frac_bits_of(steps: Float32Array | Float64Array | float) -> NDArray[np.int64] | None:
    """The bits behind the binary point of each step ``2 ** -frac_bits``, in the shape of the steps.

    Returns:
        None unless all steps are powers of two that are normal numbers of 32 bits.

    Example:
        >>> frac_bits_of(np.array([0.25, 2.0], np.float32)).tolist()
        [2, -1]
    """
    mantissa, exponent = np.frexp(steps)  # step = mantissa * 2^exponent, mantissa in [.5, 1)
    found = np.asarray(1 - exponent.astype(np.int64))
    return found if (mantissa == 0.5).all() and (found <= -_MIN_EXPONENT).all() else None


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A grid: the numbers that a weight may take.

    Attributes:
        bits: width of the codes, 2 to 8: one for all channels, or, with an axis, one per channel.
        step: value of the least significant bit, float32: shape () per tensor, (channels,) per
            channel.
        axis: the channel axis of the weight, None for one step per tensor.
        narrow: whether the lowest code of 8 bits, -128, is left out, as some runtimes need.

    Raises:
        ValueError: there are widths per channel, but not one for each step.

    Example:
        >>> grid = FixedPoint((2, 4), np.array([0.5, 0.125], np.float32), axis=0)
        >>> grid.low, grid.high, grid.widest
        (array([-2, -8], dtype=int16), array([1, 7], dtype=int16), 4)
    """

    bits: Bits
    step: Float32Array
    axis: int | None = None
    narrow: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.bits, int):
            return
        if self.axis is None or np.shape(self.step) != (len(self.bits),):
            raise ValueError(
                f"{len(self.bits)} widths for {np.size(self.step)} steps along axis {self.axis}: "
                "give a channel axis, and one width for each channel."
            )

    @property
    def low(self) -> CodeLimit:
        """The smallest code, -2^(bits-1), or 1 more at 8 bits if the range is narrow.

        (channels,) if each channel has its own width.
        """
        if isinstance(self.bits, int):
            return int(-(2 ** (self.bits - 1)) + (self.narrow and self.bits == _BITS_OF_TYPE))
        widths = np.array(self.bits)
        left_out = self.narrow & (widths == _BITS_OF_TYPE)
        return np.asarray(-(2 ** (widths - 1)) + left_out, np.int16)

    @property
    def high(self) -> CodeLimit:
        """The largest code, 2^(bits-1) - 1; (channels,) if each channel has its own width."""
        if isinstance(self.bits, int):
            return int(2 ** (self.bits - 1) - 1)
        return np.asarray(2 ** (np.array(self.bits) - 1) - 1, np.int16)

    @property
    def widest(self) -> int:
        """The largest width of all channels."""
        return self.bits if isinstance(self.bits, int) else max(self.bits)

    @property
    def frac_bits(self) -> int | list[int] | None:
        """Bits behind the binary point (a list per channel); None unless all steps are 2^n."""
        found = frac_bits_of(self.step)
        if found is None:
            return None
        frac: int | list[int] = found.tolist()
        return frac

    def steps_for(self, rank: int) -> Float32Array:
        """The step, shaped to multiply a weight of `rank` axes: () or (1, .., channels, .., 1)."""
        return self.step if self.axis is None else self.step.reshape(_along(self.axis, rank))

    def limits_for(self, rank: int) -> tuple[CodeLimit, CodeLimit]:
        """The smallest and the largest code, shaped as in `steps_for`; numbers for one width."""
        low, high = self.low, self.high
        if self.axis is None or isinstance(low, int) or isinstance(high, int):
            return low, high
        shape = _along(self.axis, rank)
        return low.reshape(shape), high.reshape(shape)


def _along(axis: int, rank: int) -> list[int]:
    """The shape that lays a vector along one of `rank` axes."""
    shape = [1] * rank
    shape[axis] = -1
    return shape


def int_bits(largest: NDArray[np.floating]) -> NDArray[np.int64]:
    """Bits before the binary point, ``ceil(log2(largest))`` (equation 1), 0 for an all-zero tensor.

    Args:
        largest: max|x|, any shape.

    Example:
        >>> int_bits(np.array([0.3, 0.5, 1.0, 1.1, 0.0]))
        array([-1, -1,  0,  1,  0])
    """
    # frexp is exact where a rounded log2 would be off by one next to a power of two.
    mantissa, exponent = np.frexp(np.asarray(largest, np.float64))
    return np.where(largest > 0, exponent - (mantissa == 0.5), 0).astype(np.int64)


def fit(
    values: Float32Array,
    bits: Bits,
    axis: int | None = None,
    scale: Scale = "pow2",
    dtype: str = "float32",
    *,
    narrow: bool = False,
) -> FixedPoint:
    """The grid that covers the range of `values` (equations 1 and 2).

    Args:
        values: a weight, any shape, finite.
        bits: 2 to 8, one for all channels or one per channel.
        axis: the channel axis for a step per channel, None for one step.
        scale: "pow2" for steps that are powers of two as in the paper, "float" for steps of
            max|x| / (2^(bits-1) - 1).
        dtype: the type that stores the weight: step * code stays within its range.
        narrow: as in `FixedPoint`.

    Raises:
        ValueError: there are widths per channel, but not one for each step.

    Example:
        >>> fit(np.array([0.3, -0.9], np.float32), bits=4).step
        array(0.125, dtype=float32)
    """
    largest = largest_magnitudes(values, axis).astype(np.float64)  # () or (channels,)
    widths = np.array(bits)  # () or (channels,)
    limits = np.finfo(dtype)
    if scale == "float":
        covering = np.where(largest > 0, largest, 1.0) / (2 ** (widths - 1) - 1)
        step = np.clip(covering, 2.0**_MIN_EXPONENT, float(limits.max) / 2 ** (widths - 1))
        step = step.astype(np.float32)
    else:
        # 2^(maxexp - 1) is finite, and twice that is not.
        frac_bits = widths - np.minimum(int_bits(largest), limits.maxexp - 1) - 1
        step = np.ldexp(1.0, np.maximum(-frac_bits, _MIN_EXPONENT)).astype(np.float32)
    return FixedPoint(bits, np.asarray(step), axis, narrow)


@dataclass(frozen=True)
class GridSpec:
    """The choices for a weight's grid, without its steps.

    Attributes:
        bits: width of the codes, one for all channels or one per channel.
        axis: the channel axis for a step per channel, None for one step.
        scale: whether steps are powers of two ("pow2") or any numbers ("float").
        dtype: the type that stores the weight.
        narrow: as in `FixedPoint`.

    Example:
        >>> GridSpec(bits=4, axis=0).fit(np.array([[0.3, -0.9], [3.0, 1.0]], np.float32)).step
        array([0.125, 0.5  ], dtype=float32)
    """

    bits: Bits
    axis: int | None = None
    scale: Scale = "pow2"
    dtype: str = "float32"
    narrow: bool = False

    def fit(self, values: Float32Array) -> FixedPoint:
        """The grid that covers the range of `values` (`fit`)."""
        return fit(values, self.bits, self.axis, self.scale, self.dtype, narrow=self.narrow)


def nearest(values: Float32Array, grid: FixedPoint) -> Codes:
    """The codes nearest to `values`, half to even, clipped to the range (equation 3).

    Example:
        >>> nearest(np.array([0.3, -0.9, 5.0], np.float32), FixedPoint(4, np.float32(0.125)))
        array([ 2, -7,  7], dtype=int8)
    """
    codes, steps = np.empty(values.shape, np.int8), grid.steps_for(values.ndim)
    limits = [np.asarray(limit) for limit in grid.limits_for(values.ndim)]
    # To divide by a power of two is exact in either type, as far as rounding tells them apart.
    dtype = np.float64 if grid.frac_bits is None else np.float32
    for rows, block in blocks(values):
        ratio = np.rint(np.divide(block, rows_of(steps, rows), dtype=dtype))
        codes[rows] = np.clip(ratio, *(rows_of(limit, rows) for limit in limits))
    return codes


def dequantize(codes: Codes, grid: FixedPoint) -> Float32Array:
    """The values of `codes`: ``step * codes``, float32, in the same shape.

    Example:
        >>> dequantize(np.array([2, -7], np.int8), FixedPoint(4, np.float32(0.125)))
        array([ 0.25 , -0.875], dtype=float32)
    """
    return np.asarray(np.multiply(codes, grid.steps_for(codes.ndim), dtype=np.float32))


class QuantizedWeight(NamedTuple):
    """A weight on its grid.

    Attributes:
        codes: int8, in the weight's shape.
        grid: the grid that the codes are on.
    """

    codes: Codes
    grid: FixedPoint

    @property
    def values(self) -> Float32Array:
        """``step * codes``, float32."""
        return dequantize(self.codes, self.grid)

    def value_blocks(self) -> Iterator[tuple[Rows, Float32Array]]:
        """The values in blocks of the first axis, in order, each with its slice."""
        steps = self.grid.steps_for(self.codes.ndim)
        for rows, block in blocks(self.codes):
            values = np.multiply(block, rows_of(steps, rows), dtype=np.float32)
            yield rows, np.asarray(values)
