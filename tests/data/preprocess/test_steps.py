"""Single preprocessing steps, worked by hand."""

import numpy as np
import pytest

from onnx_evoq.data.preprocess.steps import Preprocess, centre_crop, channels_last, scale
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec


def spec(*shape: int | None) -> TensorSpec:
    return TensorSpec("x", np.dtype("float32"), (None, *shape))


@pytest.mark.parametrize(
    ("step", "value"), [("divide", 0), ("divide", 0.0), ("std", [0]), ("std", [1, 0, 1])]
)
def test_a_divisor_of_0_is_refused(step: str, value: object) -> None:
    with pytest.raises(DataError, match=f"^{step} is 0, by which no value can be divided"):
        Preprocess(**{step: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("steps", "changes_numbers", "needs_images"),
    [
        (Preprocess(), False, False),
        (Preprocess(divide=2), True, False),
        (Preprocess(mean=[1]), True, False),
        (Preprocess(std=[2]), True, False),
        (Preprocess(layout="nhwc"), False, False),
        (Preprocess(resize=4), False, True),
        (Preprocess(crop=4), False, True),
        (Preprocess(color="bgr"), False, True),
    ],
)
def test_steps_change_numbers_or_need_images(
    steps: Preprocess, changes_numbers: bool, needs_images: bool
) -> None:
    assert (steps.changes_numbers, steps.needs_images) == (changes_numbers, needs_images)


@pytest.mark.parametrize(
    ("shape", "layout", "last"),
    [
        ((8, 8, 3), None, True),
        ((8, 8, 1), None, True),
        ((8, 8, 4), None, True),
        ((8, 8, 2), None, False),
        ((3, 8, 8), None, False),
        ((3, 8, 3), None, False),
        ((None, None, 3), None, True),
        ((None, None, None), None, False),
        ((3, 8, 8), "nhwc", True),
        ((8, 8, 3), "nchw", False),
        ((8,), None, False),
        ((8, 8, 8, 3), None, False),
    ],
)
def test_the_layout_is_guessed_from_the_input_unless_it_is_given(
    shape: tuple[int | None, ...], layout: str | None, last: bool
) -> None:
    assert channels_last(spec(*shape), layout) is last


def test_an_input_without_a_shape_has_its_channels_first() -> None:
    assert channels_last(TensorSpec("x", np.dtype("float32"), None), None) is False


def test_numbers_are_divided_then_centred_then_scaled() -> None:
    steps = Preprocess(divide=10, mean=[0.5], std=[2])
    scaled = scale(np.uint8([[10, 20]]), 1, steps, "x")
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[0.25, 0.75]]  # (10 / 10 - 0.5) / 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mean_and_std_go_along_the_channel_axis(axis: int) -> None:
    values = np.moveaxis(np.full((4, 5, 2), 8.0), 2, axis)
    scaled = scale(values, axis, Preprocess(mean=[0, 4], std=[1, 2]), "x")
    assert np.moveaxis(scaled, axis, 2).reshape(-1, 2).tolist() == [[8, 2]] * 20


def test_the_given_values_are_not_changed() -> None:
    values = np.ones((1, 2), np.float32)
    scale(values, 1, Preprocess(divide=2, mean=[1], std=[3]), "x")
    assert values.tolist() == [[1, 1]]


@pytest.mark.parametrize("step", ["mean", "std"])
def test_a_wrong_number_of_channel_values_is_refused(step: str) -> None:
    with pytest.raises(
        DataError, match=f"'x' has 3 channels but 2 values of {step} were given: give one per"
    ):
        scale(np.ones((1, 3)), 1, Preprocess(**{step: [1, 2]}), "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [False, True])
def test_a_crop_is_the_centre(last: bool) -> None:
    image = np.arange(20).reshape(4, 5)
    images = image[None, :, :, None] if last else image[None, None]
    cropped = centre_crop(images, (2, 3), last)
    assert cropped.shape == ((1, 2, 3, 1) if last else (1, 1, 2, 3))
    assert cropped.reshape(2, 3).tolist() == [[6, 7, 8], [11, 12, 13]]


def test_one_number_crops_a_square_from_the_upper_left_of_the_centre() -> None:
    assert centre_crop(np.arange(9).reshape(1, 1, 3, 3), 2, False).tolist() == [[[[0, 1], [3, 4]]]]


def test_a_crop_may_be_the_whole_image() -> None:
    images = np.arange(6).reshape(1, 1, 2, 3)
    assert centre_crop(images, (2, 3), False).tolist() == images.tolist()


@pytest.mark.parametrize("size", [(3, 3), (2, 4)])
def test_a_crop_larger_than_the_images_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(
        DataError, match=r"^a\.png: 2x3 is smaller than the crop .x.: resize to more"
    ):
        centre_crop(np.ones((1, 1, 2, 3)), size, False, "a.png")
