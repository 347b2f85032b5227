"""Images resized with Pillow."""

import sys

import numpy as np
import pytest
from PIL import Image

from onnx_evoq.data.preprocess.resize import require_pillow, resized, resized_arrays
from onnx_evoq.errors import DataError


def test_pillow_is_an_extra_that_messages_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_pillow() is Image
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"needs Pillow: pip install 'onnx-evoq\[images\]'"):
        require_pillow()


@pytest.mark.parametrize(
    ("size", "expected"), [((5, 3), (5, 3)), (4, (4, 8)), (2, (2, 4)), (10, (10, 20))]
)
def test_one_number_is_the_shorter_side(
    size: int | tuple[int, int], expected: tuple[int, int]
) -> None:
    image = resized(Image.new("L", (8, 4)), size)  # 4 rows, 8 columns
    assert (image.height, image.width) == expected
    upright = resized(Image.new("L", (4, 8)), size)
    assert (upright.width, upright.height) == (expected if isinstance(size, int) else (3, 5))


def test_images_are_interpolated_bilinearly() -> None:
    image = Image.fromarray(np.float32([[0, 100]]))
    # Four pixels at 1/8, 3/8, 5/8 and 7/8; the old ones are at 1/4 and 3/4.
    assert np.asarray(resized(image, (1, 4))).tolist() == [[0, 25, 75, 100]]


@pytest.mark.parametrize("last", [False, True])
def test_arrays_keep_their_layout_and_are_resized_channel_by_channel(last: bool) -> None:
    planes = np.float32([[[[0, 100]], [[100, 0]], [[8, 8]]]] * 2)  # (2, 3, 1, 2)
    images = planes.transpose(0, 2, 3, 1) if last else planes
    values = resized_arrays(images, (1, 4), last)
    assert values.dtype == np.float32
    channels = values.transpose(0, 3, 1, 2) if last else values
    one = [[[0, 25, 75, 100]], [[100, 75, 25, 0]], [[8, 8, 8, 8]]]
    assert channels.tolist() == [one, one]


def test_whole_numbers_are_resized_as_floats() -> None:
    values = resized_arrays(np.uint8([[[[0, 1]]]]), (1, 4), False)
    assert values.tolist() == [[[[0, 0.25, 0.75, 1]]]]
