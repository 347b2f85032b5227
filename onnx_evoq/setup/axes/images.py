"""Which inputs are images, and which of their axes are what."""

from onnx_evoq.data import CHANNELS, channels_last
from onnx_evoq.signature import TensorSpec

_COLORS = (3, 4)  # channels of an image without an axis of samples
_LEAST_SIDE = 16  # pixels of such an image
_MOST_RATIO = 4  # of the sides of such an image, if the channels are last


def is_image(spec: TensorSpec) -> bool:
    """Whether an input is drawn as images: it has four axes, or three of a single image.

    An exception are caches: the number of channels is no usual one, and one other axis is open.
    """
    if spec.shape is None or len(spec.shape) != 4:
        return is_single_image(spec)
    (channels,), sides = image_axes(spec)
    several = spec.shape[channels] not in (None, *CHANNELS)
    return not (several and [spec.shape[side] for side in sides].count(None) == 1)


def is_single_image(spec: TensorSpec) -> bool:
    """Whether an input is one image, without an axis of samples.

    It has three channels or four, and both sides are open, or as long as those of images are. With
    channels last, it could be points in space, so that floats must state both sides.
    """
    if spec.shape is None or len(spec.shape) != 3:
        return False
    first, middle, last = spec.shape
    if first in _COLORS:
        return _are_sides(middle, last)
    if last not in _COLORS or not _are_sides(first, middle):
        return False
    if first is None or middle is None:
        return spec.dtype.kind != "f"
    return max(first, middle) <= _MOST_RATIO * min(first, middle)


def _are_sides(height: int | None, width: int | None) -> bool:
    if height is None or width is None:
        return height is width
    return min(height, width) >= _LEAST_SIDE


def image_axes(spec: TensorSpec) -> tuple[tuple[int], tuple[int, int]]:
    """The axis of the channels, and those of height and width, of an input that is an image."""
    assert spec.shape is not None
    if len(spec.shape) == 3:
        return ((0,), (1, 2)) if spec.shape[0] in _COLORS else ((2,), (0, 1))
    return ((3,), (1, 2)) if channels_last(spec, None) else ((1,), (2, 3))
