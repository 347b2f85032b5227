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
    """Pillow's Image module.

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


def resized(image: "Image", size: int | tuple[int, int]) -> "Image":
    """`image` with that (height, width), or with that shorter side; bilinear."""
    pillow = require_pillow()
    if isinstance(size, int):
        cholesky_factor = size / min(image.size)
        size = (round(image.height * cholesky_factor), round(image.width * cholesky_factor))
    return image.resize((size[1], size[0]), pillow.Resampling.BILINEAR)


def resized_arrays(images: NDArray[Any], size: int | tuple[int, int], last: bool) -> Float32Array:
    """The same for arrays, channel by channel in float.

    Args:
        images: (n, h, w, c) if `last`, else (n, c, h, w).
        size: (height, width), or the shorter side.
        last: whether channels are the last axis.
    """
    pillow = require_pillow()
    planes = (images.transpose(0, 3, 1, 2) if last else images).astype(np.float32)  # (n, c, h, w)
    done = np.stack(
        [
            [np.asarray(resized(pillow.fromarray(plane), size)) for plane in image]
            for image in planes
        ]
    )
    return np.asarray(done.transpose(0, 2, 3, 1) if last else done, np.float32)
