"""The ranges that inputs may have."""

import numpy as np
import pytest

from onnx_evoq.data import Noise
from onnx_evoq.model import InputScaling
from onnx_evoq.setup.ranges.input_range import scaled_range, usual_ranges

IMAGE = Noise(image=True, channel_axis=-3)


def limits(scaling: InputScaling, dtype: str = "float32") -> tuple[float, float] | None:
    found = scaled_range(IMAGE, scaling, np.dtype(dtype), 4)
    return None if found is None else (found.low, found.high)


@pytest.mark.parametrize(
    ("factor", "offset", "expected"),
    [
        (1 / 255, 0, (0, 255)),
        (1 / 127.5, -1, (0, 255)),
        (1 / 58, -2.1, (0, 255)),
        (1, -116, (0, 255)),
        (2, -1, (0, 1)),
        (4.4, -2, (0, 1)),
        (0.5, 0.5, (-1, 1)),
        (255, 0, (0, 1)),
        (1 / 32768, 0, (-32768, 32767)),
        (1 / 65535, 0, (0, 65535)),
        # These may mean anything.
        (1, 0, None),
        (0.5, 0, None),
        (1, 1e-5, None),
        (1 / 1000, 0, None),
        (0, 3, None),
    ],
)
def test_what_the_first_nodes_make_of_a_usual_range_says_which_it_is(
    factor: float, offset: float, expected: tuple[float, float] | None
) -> None:
    assert limits(InputScaling(factor, offset)) == expected


def test_whole_numbers_have_ranges_of_their_type() -> None:
    assert limits(InputScaling(1 / 255), "uint8") == (0, 255)
    assert limits(InputScaling(1 / 128), "int8") == (-128, 127)
    assert limits(InputScaling(1 / 32768), "int16") == (-32768, 32767)
    assert limits(InputScaling(2, -1), "int64") is None
    assert limits(InputScaling(limits=(-6, 600)), "uint8") == (0, 255)
    assert limits(InputScaling(mean=(1.0,), deviation=(2.0,)), "int8") == (-128, 127)


def test_limits_and_statistics_are_taken_as_they_are() -> None:
    assert limits(InputScaling(limits=(0, 6))) == (0, 6)
    found = scaled_range(
        IMAGE, InputScaling(mean=(1, 2), deviation=(3, 4), channel_axis=1), np.dtype("float32"), 4
    )
    assert found == Noise((1, 2), (3, 4), image=True, channel_axis=-3)


def test_usual_ranges_begin_with_standardized_numbers() -> None:
    assert usual_ranges(Noise(), 0)[:2] == [Noise(), Noise().within(0, 1)]
    assert len(usual_ranges(Noise(), 3)) == len(usual_ranges(IMAGE, 1)) == 5


def test_images_of_three_channels_may_have_the_means_of_imagenet() -> None:
    *_, bytes_ = usual_ranges(IMAGE, 3)
    assert bytes_.mean == pytest.approx((123.675, 116.28, 103.53))
    assert bytes_.deviation == pytest.approx((58.395, 57.12, 57.375))
    assert (bytes_.low, bytes_.high, bytes_.channel_axis) == (0, 255, -3)
