"""Which inputs are images."""

import numpy as np
import pytest

from onnx_evoq.setup.axes.images import image_axes, is_image, is_single_image
from onnx_evoq.signature import TensorSpec


def spec(*shape: int | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec("x", np.dtype(dtype), shape)


@pytest.mark.parametrize(
    ("image", "channels", "sides"),
    [
        (spec(None, 3, None, None), 1, (2, 3)),
        (spec(None, None, None, 1), 3, (1, 2)),
        (spec(1, 12, 8, 8), 1, (2, 3)),
        (spec(3, None, None), 0, (1, 2)),
        (spec(3, 224, 320), 0, (1, 2)),
        (spec(None, None, 3, dtype="uint8"), 2, (0, 1)),
        (spec(224, 224, 3), 2, (0, 1)),
    ],
)
def test_images_have_axes_of_channels_height_and_width(
    image: TensorSpec, channels: int, sides: tuple[int, int]
) -> None:
    assert is_image(image)
    assert image_axes(image) == ((channels,), sides)
    assert is_single_image(image) == (len(image.shape or ()) == 3)


@pytest.mark.parametrize(
    "other",
    [
        spec(None, 8, None, 64),  # a cache
        spec(None, None, 3),  # points
        spec(32, 1024, 3),
        spec(4, None, 128),  # a recurrent state
        spec(4, 1, 128),
        spec(1, 28, 28),
        spec(None, 3, 8),
        spec(),
        TensorSpec("x", np.dtype("float32"), None),
    ],
)
def test_caches_points_and_states_are_none(other: TensorSpec) -> None:
    assert not is_image(other)
