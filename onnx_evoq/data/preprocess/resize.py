"""Resize images with Pillow, an optional extra."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array
from onnx_evoq.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def require_pillow() -> ModuleType:
    """Import Pillow's Image module.

    Raises:
        DataError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as cause:
        raise DataError(
            "reading and resizing images needs Pillow: pip install 'onnx-evoq[images]', "
            "or give arrays of the model's size."
        ) from cause
    return Image


def resized_to(shape: tuple[int, int], size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image after a resize.

    Args:
        shape: (height, width) before.
        size: (height, width), or the shorter side.

    Example:
        >>> resized_to((100, 200), 50)
        (50, 100)
    """
    if not isinstance(size, int):
        return size
    ratio = size / min(shape)
    return round(shape[0] * ratio), round(shape[1] * ratio)


def resized(image: "Image", size: int | tuple[int, int]) -> "Image":
    """Resize an image to (height, width), or to this shorter side, with bilinear interpolation."""
    pillow = require_pillow()
    height, width = resized_to((image.height, image.width), size)
    return image.resize((width, height), pillow.Resampling.BILINEAR)


def resized_arrays(images: NDArray[Any], size: int | tuple[int, int], last: bool) -> Float32Array:
    """Resize images in arrays, channel by channel, in float32.

    Args:
        images: (n, h, w, c) if `last`, else (n, c, h, w).
        size: (height, width), or the shorter side.
        last: whether channels are the last axis.

    Returns:
        The resized images in the layout of `images`.
    """
    pillow = require_pillow()
    planes = (images.transpose(0, 3, 1, 2) if last else images).astype(np.float32)  # (n, c, h, w)
    result = np.stack(
        [
            [np.asarray(resized(pillow.fromarray(plane), size)) for plane in image]
            for image in planes
        ]
    )
    return np.asarray(result.transpose(0, 2, 3, 1) if last else result, np.float32)
