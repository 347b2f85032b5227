"""The grid of an activation: one scale for the whole tensor, and codes of some bits.

A value x becomes

    q(x) = scale * clip(round(x / scale), low, high)

The codes are unsigned where a tensor is never negative, else signed. A runtime holds them in a type
of 8 or 16 bits, which may be

    unsigned     with a zero point of 0, or in the middle for signed codes,
    signed       with a zero point of 0, or the lowest code for unsigned ones,
    symmetric    signed, with a zero point of 0 for all: then all codes are signed.

Where the zero point is free, signed codes that fill their type need not lie about the middle: those
of a spectrum that reaches from -120 to 20 lie where its values are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, log2
from typing import Literal

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.weights import Scale

CodeType = Literal["unsigned", "signed", "symmetric"]

_OCTAVES = 6  # below the scale that covers all values, in which the best one is looked for
_PER_OCTAVE = 8  # scales in an octave, where they need not be powers of two
_LEAST = 1e-30
_OFFSETS, _FOR_OFFSETS = 9, 4096  # that are tried; values of a tensor that judge them
_ROUNDING = 0.501  # steps that rounding moves a value, at most


@dataclass(frozen=True)
class ActivationGrid:
    """The scale and the codes of an activation.

    Attributes:
        scale: the distance of two values.
        bits: width of the codes, 2 to 16.
        signed: whether there are negative codes.
        highest: the largest value that the model lets through, as a Clip does; infinite for none.
        code_type: of the type that holds the codes.
        free_zero_point: whether signed codes that fill their type may have any zero point; not if
            they are symmetric.
        offset: by how much the signed codes are moved up.

    Example:
        >>> grid = ActivationGrid(0.5, 4, signed=False)
        >>> grid.values(np.array([-1.0, 0.7, 9.0])).tolist()
        [0.0, 0.5, 7.5]
    """

    scale: float
    bits: int
    signed: bool
    highest: float = inf
    code_type: CodeType = "unsigned"
    free_zero_point: bool = False
    offset: int = 0

    @property
    def container(self) -> int:
        """The bits of the type that holds the codes: 8 or 16."""
        return 8 if self.bits <= 8 else 16

    @property
    def dtype(self) -> str:
        """The type that holds the codes: "uint8", "int8", "uint16" or "int16"."""
        return f"{'u' if self.code_type == 'unsigned' else ''}int{self.container}"

    @property
    def zero_point(self) -> int:
        """The code of the value 0 in that type."""
        half = 1 << (self.container - 1)
        if self.code_type == "unsigned":
            return half - self.offset if self.signed else 0
        return -self.offset if self.signed else -half

    @property
    def low(self) -> int:
        """The lowest code, less the zero point."""
        return self.offset - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The highest code, less the zero point."""
        most = self.offset + (1 << (self.bits - self.signed)) - 1
        return most if not isfinite(self.highest) else min(most, round(self.highest / self.scale))

    @property
    def leaves_codes(self) -> bool:
        """Whether its type has codes that are not used, so that the others must be clipped."""
        return self.bits < self.container or isfinite(self.highest)

    def values(self, x: Float32Array | Float64Array) -> Float64Array:
        """The values on the grid."""
        codes = np.clip(np.rint(np.asarray(x, np.float64) / self.scale), self.low, self.high)
        return np.asarray(self.scale * codes)

    def clipped(self, x: Float32Array | Float64Array) -> float:
        """The share of values that lie beyond the codes, by more than rounding."""
        beyond = np.abs(self.values(x) - x) > _ROUNDING * self.scale
        return float(beyond.mean()) if beyond.size else 0.0


def at_scale(grid: ActivationGrid, scale: float, tensors: Sequence[Float32Array]) -> ActivationGrid:
    """The grid with another scale, and with the zero point that suits it if that is free.

    It stays in the middle where all values have codes, else it goes no farther than they need. If
    they need more codes than there are, the zero point has the least squared error of nine.

    Args:
        grid: the grid.
        scale: its new scale.
        tensors: values of each activation that has the grid, (n,).

    Example:
        >>> grid = ActivationGrid(1.0, 8, signed=True, free_zero_point=True)
        >>> moved = at_scale(grid, 0.5, [np.array([-100.0, 10.0], np.float32)])
        >>> moved.offset, moved.zero_point, moved.values(np.array([-100.0, 10.0])).tolist()
        (-72, 200, [-100.0, 10.0])
    """
    plain = replace(grid, scale=scale, offset=0)
    free = grid.free_zero_point and grid.code_type != "symmetric"
    if not (free and grid.signed and grid.bits == grid.container):
        return plain
    values = np.concatenate([each[:: max(1, each.size // _FOR_OFFSETS)] for each in tensors])
    lowest, highest = (
        round(float(end) / scale)
        for end in (
            min(each.min(initial=0.0) for each in tensors),
            max(each.max(initial=0.0) for each in tensors),
        )
    )
    ends = highest - plain.high, lowest - plain.low  # offsets at which either end has a code
    if ends[0] <= ends[1]:
        return replace(plain, offset=int(np.clip(0, *ends)))
    least, most = -plain.high, -plain.low  # 0 has a code
    tried = np.clip(np.linspace(ends[1], ends[0], _OFFSETS), least, most).round().astype(int)
    grids = [replace(plain, offset=int(each)) for each in {0: 0, **dict.fromkeys(tried, 0)}]
    return min(grids, key=lambda each: float(np.square(each.values(values) - values).sum()))


def best_activation_grid(
    tensors: Sequence[Float32Array],
    bits: int,
    scale: Scale = "pow2",
    highest: float = inf,
    code_type: CodeType = "unsigned",
    *,
    free_zero_point: bool = False,
) -> ActivationGrid:
    """The grid whose squared error is least: it weighs rounding against clipping.

    Tensors that share it may differ in range, as a mean over many positions does from its input. So
    the error of each is taken relative to its power.

    Args:
        tensors: values of each activation that has the grid, (n,). The first one says whether it
            is signed; a grid of zeros has a scale of 1.
        bits: width of the codes, 2 to 16.
        scale: "pow2" for a scale that is a power of two, "float" for any.
        highest: as in `ActivationGrid`.
        code_type: likewise.
        free_zero_point: likewise.

    Example:
        >>> best_activation_grid([np.array([0.0, 1.0, 7.0], np.float32)], 3).scale
        1.0
    """
    signed = code_type == "symmetric" or bool(tensors[0].min(initial=0.0) < 0)
    grid = ActivationGrid(1.0, bits, signed, highest, code_type, free_zero_point)
    largest = max(float(np.abs(values).max(initial=0.0)) for values in tensors)
    if not largest:
        return grid
    covering = largest / ((1 << (bits - signed)) - 1)
    if scale == "pow2":
        scales = 2.0 ** (ceil(log2(covering)) - np.arange(_OCTAVES + 1))
    else:
        scales = covering * 2.0 ** (-np.arange(_OCTAVES * _PER_OCTAVE + 1) / _PER_OCTAVE)
    grids = [at_scale(grid, float(each), tensors) for each in scales]

    def error(grid: ActivationGrid) -> float:
        return sum(
            float(np.square(grid.values(x) - x).sum() / max(float(np.square(x).sum()), _LEAST))
            for x in tensors
        )

    return min(grids, key=error)
