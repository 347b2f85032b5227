"""The preprocessing steps: layout, resize, crop, colour, and last the numbers:

x = (x / divide - mean) / std
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing steps; `Data` explains each of them.

    Raises:
        DataError: a divisor is 0.
    """

    divide: float | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    layout: str | None = None
    color: str = "rgb"
    resize: int | tuple[int, int] | None = None
    crop: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.divide == 0 or (self.std is not None and 0 in self.std):
            raise DataError(
                f"{'divide' if self.divide == 0 else 'std'} is 0, by which no value can be divided."
            )

    @property
    def changes_numbers(self) -> bool:
        """Whether a step changes values: divide, mean or std."""
        return not (self.divide is None and self.mean is None and self.std is None)

    @property
    def needs_images(self) -> bool:
        """Whether a step is for images only: resize, crop or color."""
        return not (self.resize is None and self.crop is None and self.color == "rgb")


def channels_last(spec: TensorSpec, layout: str | None) -> bool:
    """Whether the model takes images (n, h, w, c); guessed from its input if `layout` is None."""
    if layout is not None:
        return layout == "nhwc"
    if spec.shape is None or len(spec.shape) != 4:
        return False
    return spec.shape[1] not in CHANNELS and spec.shape[3] in CHANNELS


def scale(values: NDArray[Any], axis: int, steps: Preprocess, name: str) -> Float32Array:
    """Apply divide, mean and std.

    Args:
        values: any shape.
        axis: the channel axis.
        steps: the preprocessing.
        name: the name of the input in messages.

    Raises:
        DataError: there is not one mean (or std) per channel.
    """
    scaled = values.astype(np.float32)
    if steps.divide is not None:
        scaled /= np.float32(steps.divide)
    if steps.mean is not None:
        scaled -= _per_channel(steps.mean, scaled, axis, name, "mean")
    if steps.std is not None:
        scaled /= _per_channel(steps.std, scaled, axis, name, "std")
    return scaled


def centre_crop(
    images: NDArray[Any], size: int | tuple[int, int], last: bool, name: str = "images"
) -> NDArray[Any]:
    """Crop images to their centre.

    Args:
        images: (n, h, w, c) if `last`, else (n, c, h, w).
        size: (height, width), or the side of a square.
        last: whether channels are the last axis.
        name: the name of the images in messages.

    Raises:
        DataError: the images are smaller than the crop.
    """
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = images.shape[1:3] if last else images.shape[2:4]
    if rows < height or columns < width:
        raise DataError(
            f"{name}: {rows}x{columns} is smaller than the crop {height}x{width}: resize to more, "
            "or crop less."
        )
    top, left = (rows - height) // 2, (columns - width) // 2
    window = (slice(top, top + height), slice(left, left + width))
    return images[:, *window] if last else images[:, :, *window]


def _per_channel(
    numbers: Sequence[float], values: NDArray[Any], axis: int, name: str, step: str
) -> Float32Array:
    if len(numbers) not in (1, values.shape[axis]):
        raise DataError(
            f"{name!r} has {values.shape[axis]} channels but {len(numbers)} values of {step} "
            "were given: give one per channel."
        )
    shape = [1] * values.ndim
    shape[axis] = len(numbers)
    return np.asarray(numbers, np.float32).reshape(shape)
