"""Values to try for an input, the likeliest first, from what the model does with it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnx_evoq.data import Chosen, Noise, Positions, Values, Whole
from onnx_evoq.model import InputUses, RowIndex
from onnx_evoq.signature import TensorSpec

_STEPS = 1000  # of a diffusion
_FLAGS = Whole(0, 2)
_ONE = Chosen((1.0,))
_NONE = Chosen((0.0,))


@dataclass(frozen=True)
class Around:
    """The sizes of an input and of the tensors around it.

    Attributes:
        sample: the shape of a sample of the input.
        tensors: the shapes of all tensors that are known, by name.
        sizes: of axes of other inputs, the likeliest lengths first.
    """

    sample: tuple[int, ...]
    tensors: Mapping[str, tuple[int | None, ...]]
    sizes: tuple[int, ...]

    def rows(self, index: RowIndex) -> int | None:
        """How many values are indices of a tensor; None if its size is not known."""
        shape = self.tensors.get(index.tensor, ())
        if index.axis is None:  # indices of several axes at once stay below the shortest
            shape = shape[: (self.tensors.get(index.places) or (None,))[-1]]
        elif shape:
            shape = (shape[index.axis],)
        known = [size for size in shape if size is not None]
        return index.below(min(known)) if known else None


def values_of_role(spec: TensorSpec, uses: InputUses, around: Around) -> list[Values]:
    """Values to try for an input whose uses say what it holds; none for any other input.

    Args:
        spec: the input.
        uses: what the model does with it.
        around: the sizes of the input, and of the tensors around it.
    """
    single = math.prod(around.sample) == 1
    if spec.dtype.kind == "f":
        if uses.passing is not None and not uses.otherwise:
            return [Chosen((uses.passing,))]
        return [Whole(0, _STEPS)] if uses.angle and single else []
    if uses.rows:
        below = [rows for rows in map(around.rows, uses.rows) if rows is not None]
        known = min(below) if below else min(around.sizes, default=1)
        return [Whole(0, max(1, known)), _NONE]
    if uses.classes:
        return [Whole(0, uses.classes)]
    if uses.passing is not None or (uses.otherwise and "mask" in spec.name.lower()):
        passing = 1.0 if uses.passing is None else uses.passing
        return [Chosen((passing,)), _FLAGS]
    if spec.dtype.kind == "b":
        return [_ONE, _NONE] if uses.decides else []
    if uses.angle:
        return [Whole(0, _STEPS)] if single else [Positions()]
    if uses.lengths or uses.size:
        return [*(Chosen((size,)) for size in around.sizes), _ONE]
    return _of_constants(spec.dtype, uses.compared, single)


def _of_constants(dtype: np.dtype, compared: tuple[float, ...], single: bool) -> list[Values]:
    """Values of an input that is compared with constants."""
    limits = np.iinfo(dtype)
    constants = [
        c for c in dict.fromkeys(compared) if c == int(c) and limits.min <= c <= limits.max
    ]
    if not any(c not in (0, 1) for c in constants):
        return []
    return [Chosen((c,)) for c in constants] if single else [Chosen(tuple(constants))]


def noise_of(spec: TensorSpec, image: bool, channel_axis: int) -> list[Values]:
    """Values to try for an input whose uses do not say what it holds.

    Floats have mean 0 and standard deviation 1. Bytes, and images of whole numbers, are pixels.
    Other whole numbers and flags are 0 or 1.

    Args:
        spec: the input.
        image: whether it holds images.
        channel_axis: the axis of their channels, counted from the last one.
    """
    noise = Noise(image=image, channel_axis=channel_axis)
    if spec.dtype.kind == "f":
        # Where a model takes logarithms or roots, negative numbers give NaN.
        return [noise, noise.within(0, 1)]
    if spec.dtype.kind != "b" and (image or spec.dtype.itemsize == 1):
        return [noise.within(-128, 127) if spec.dtype == np.int8 else noise.within(0, 255)]
    return [_FLAGS, _ONE, _NONE]


def within_limits(spec: TensorSpec, values: Values, limits: tuple[float, float]) -> Values | None:
    """The same values between two limits; None if no value of the input's type lies there.

    Args:
        spec: the input.
        values: as `noise_of` gives them.
        limits: the lowest and the highest value.
    """
    low, high = limits
    if spec.dtype.kind in "iu":
        bounds = np.iinfo(spec.dtype)
        low, high = max(math.ceil(low), bounds.min), min(math.floor(high), bounds.max)
        if low > high:
            return None
    if isinstance(values, Noise):
        return values.within(low, high)
    return Whole(int(low), int(high) + 1) if spec.dtype.kind != "b" else values
