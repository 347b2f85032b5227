"""Pictures and values of samples."""

import base64
import io

import numpy as np
import pytest
from graphs import random

from onnx_evoq.api.details.sample_picture import data_url, image_of, shown_sample
from onnx_evoq.batch import Batch


def picture(url: str) -> np.ndarray:
    """The pixels of a picture in a data URL."""
    image = pytest.importorskip("PIL.Image")
    content = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    return np.asarray(image.open(io.BytesIO(content)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_has_the_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, channels), np.uint8)
    assert (picture(data_url(pixels)) == pixels.squeeze()).all()


@pytest.mark.parametrize("shape", [(3, 10, 12), (10, 12, 3), (1, 10, 12), (10, 12, 1)])
def test_channels_may_come_first_or_last(shape: tuple[int, ...]) -> None:
    found = image_of(random(*shape))
    assert found is not None
    assert found.shape == (10, 12, 3 if 3 in shape else 1)
    assert (found.min(), found.max()) == (0, 255)


def test_a_large_image_is_made_smaller() -> None:
    found = image_of(random(3, 224, 200))
    assert found is not None
    assert found.shape == (56, 50, 3)


def test_an_image_of_one_value_is_black() -> None:
    found = image_of(np.full((3, 8, 8), 5.0, np.float32))
    assert found is not None
    assert not found.any()


@pytest.mark.parametrize(
    "sample",
    [random(8), random(3, 8, 4), random(4, 8, 8), random(3, 8, 8) * np.nan,
     np.full((3, 8, 8), "a")],
)  # fmt: skip
def test_what_is_no_image_has_no_picture(sample: np.ndarray) -> None:
    assert image_of(sample) is None


def test_a_sample_of_an_image_is_shown_as_a_picture() -> None:
    images = random(4, 3, 8, 8)
    shown = shown_sample(Batch({"x": images}, 4, 4), 2)
    alone = image_of(images[2])
    assert alone is not None
    assert shown == {"picture": data_url(alone)}


def test_other_samples_are_shown_as_values() -> None:
    batch = Batch({"x": np.arange(20).reshape(2, 10), "t": np.array(["a", "b"])}, 2, 2)
    assert shown_sample(batch, 1) == {
        "values": {"x": "10, 11, 12, 13, 14, 15, 16, 17, ... (10 values)", "t": "b"},
    }


def test_a_feed_that_is_one_sample_is_shown_whole() -> None:
    feed = {"x": np.ones((3, 2), np.float32), "rate": np.array(16)}
    assert shown_sample(Batch(feed, 1, 1), 0) == {
        "values": {"x": "1, 1, 1, 1, 1, 1", "rate": "16"},
    }
