"""Synthetic inputs: types, limits, and whole numbers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.data import Chosen, InputPlan, Noise, Positions, Values, Whole, draw
from onnx_evoq.data.synthetic.noise import natural_noise

IMAGE = Noise(image=True, channel_axis=-3)


def drawn(
    values: Values, *shape: int, samples: int = 4, dtype: str = "float32", seed: int = 0
) -> NDArray[np.generic]:
    plan = InputPlan("x", np.dtype(dtype), shape, values)
    return draw([plan], samples, np.random.default_rng(seed))["x"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_have_mean_0_and_deviation_1(dtype: str) -> None:
    values = drawn(Noise(), 50, samples=200, dtype=dtype)
    assert values.dtype == dtype
    assert float(np.mean(values, dtype=np.float64)) == pytest.approx(0, abs=0.05)
    assert float(np.std(values, dtype=np.float64)) == pytest.approx(1, abs=0.05)


def test_floats_are_white() -> None:
    noise = drawn(Noise(), 64, samples=500)
    amplitude = np.sqrt((np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(0))
    along = np.arange(2, 31)
    assert np.polyfit(np.log(along), np.log(amplitude[along]), 1)[0] == pytest.approx(0, abs=0.05)


def test_images_are_natural_noise() -> None:
    noise = natural_noise((4, 3, 8, 8), False, np.random.default_rng(0))
    assert np.array_equal(drawn(IMAGE, 3, 8, 8), noise)
    last = natural_noise((4, 8, 8, 3), True, np.random.default_rng(0))
    assert np.array_equal(drawn(Noise(image=True), 8, 8, 3), last)


def test_samples_that_are_whole_feeds_hold_several_images() -> None:
    assert drawn(IMAGE, 2, 3, 8, 8).shape == (4, 2, 3, 8, 8)


def test_inputs_of_size_0_can_be_drawn() -> None:
    assert drawn(IMAGE, 3, 0, 8).shape == (4, 3, 0, 8)


@pytest.mark.parametrize(("values", "shape"), [(Noise(), (20,)), (IMAGE, (3, 8, 8))])
def test_limits_are_reached_and_kept(values: Noise, shape: tuple[int, ...]) -> None:
    noise = drawn(values.within(0, 255), *shape, samples=300)
    assert (noise.min(), noise.max()) == (0, 255)
    assert float(noise.mean()) == pytest.approx(127.5, abs=5)


def test_pixels_that_are_whole_numbers_keep_the_spectrum() -> None:
    pixels = IMAGE.within(0, 255)
    bytes_ = drawn(pixels, 3, 8, 8, dtype="uint8")
    assert bytes_.dtype == np.uint8
    assert np.array_equal(bytes_, np.rint(drawn(pixels, 3, 8, 8)))


@pytest.mark.parametrize(("axis", "shape"), [(-3, (2, 8, 8)), (-1, (8, 8, 2)), (-2, (2, 8))])
def test_channels_have_means_and_deviations_of_their_own(axis: int, shape: tuple[int, ...]) -> None:
    noise = drawn(Noise((10, -5), (1, 3), channel_axis=axis), *shape, samples=400)
    first, second = np.moveaxis(noise, axis, 0)
    assert (first.mean(), second.mean()) == pytest.approx((10, -5), abs=0.2)
    assert (first.std(), second.std()) == pytest.approx((1, 3), rel=0.1)


def test_whole_numbers_cover_their_range() -> None:
    values = drawn(Whole(2, 7), 20, samples=50, dtype="int64")
    assert values.dtype == np.int64
    assert np.unique(values).tolist() == [2, 3, 4, 5, 6]


def test_chosen_values_are_all_there_and_one_alone_is_a_constant() -> None:
    assert np.unique(drawn(Chosen((3, 9)), 20, dtype="int32")).tolist() == [3, 9]
    assert drawn(Chosen((16000,)), dtype="int64").tolist() == [16000] * 4


def test_positions_count_along_the_last_axis() -> None:
    assert drawn(Positions(), 2, 3, samples=1, dtype="int64").tolist() == [[[0, 1, 2]] * 2]


def test_draws_depend_on_the_seed_alone() -> None:
    assert np.array_equal(drawn(IMAGE, 3, 8, 8, seed=1), drawn(IMAGE, 3, 8, 8, seed=1))
    assert not np.array_equal(drawn(IMAGE, 3, 8, 8, seed=1), drawn(IMAGE, 3, 8, 8, seed=2))


def test_inputs_that_no_memory_holds_are_not_drawn() -> None:
    with pytest.raises(MemoryError, match=r"drawing 4 inputs of shape \[1099511627776\]"):
        drawn(Noise(), 2**40)


def test_samples_have_their_amplitudes_in_turn() -> None:
    alike = drawn(Noise(), 9, samples=5)
    factors = np.array([1, 0.5, 0.25, 1, 0.5], np.float32)[:, None]
    assert np.array_equal(drawn(Noise(amplitudes=(1, 0.5, 0.25)), 9, samples=5), alike * factors)


def test_limits_hold_for_every_amplitude() -> None:
    values = Noise(image=True, channel_axis=-3, amplitudes=(1, 2)).within(0, 255)
    noise = drawn(values, 3, 8, 8, samples=40)
    assert (noise.min(), noise.max()) == (0, 255)
    assert noise[1::2].std() > 1.3 * noise[::2].std()


def test_walks_are_sums_along_the_last_axis_of_deviation_1() -> None:
    white, walks = (drawn(Noise(walks=each), 50, samples=2000) for each in (False, True))
    sums = white.cumsum(axis=1) / np.sqrt(np.arange(1, 51))
    np.testing.assert_allclose(walks, sums, atol=1e-5)
    assert walks.std(axis=0) == pytest.approx(np.ones(50), abs=0.1)
    assert np.array_equal(drawn(Noise(walks=True)), drawn(Noise()))  # of a single number
