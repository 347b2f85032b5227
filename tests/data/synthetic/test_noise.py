"""Noise with the spectrum of natural images."""

import numpy as np
import pytest

from onnx_evoq.data.synthetic.noise import natural_noise


def test_images_have_mean_0_and_deviation_1() -> None:
    values = natural_noise((20, 3, 16, 16), False, np.random.default_rng(0))
    assert float(values.mean()) == pytest.approx(0, abs=1e-5)
    assert float(values.std()) == pytest.approx(1, abs=1e-5)


def test_amplitude_of_images_falls_with_frequency_to_the_power_of_1_5() -> None:
    noise = natural_noise((64, 1, 64, 64), False, np.random.default_rng(0))
    amplitude = np.sqrt((np.abs(np.fft.rfft2(noise)) ** 2).mean((0, 1)))
    along = np.arange(2, 31)  # one axis of frequencies, clear of zero and of the fold
    slope = np.polyfit(np.log(along), np.log(amplitude[0, along]), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.05)


@pytest.mark.parametrize("size", [32, 33])
def test_images_vary_as_much_from_row_to_row_as_from_column_to_column(size: int) -> None:
    noise = natural_noise((200, 1, size, size), False, np.random.default_rng(0))
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean((0, 1))
    along = np.arange(1, size)
    # Each of some 30 frequencies along one axis has the power of the same one along the other.
    assert np.mean(power[along, 0] / power[0, along]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("last", [False, True])
def test_channels_of_images_share_nine_tenths_of_their_variance(last: bool) -> None:
    shape = (200, 24, 24, 3) if last else (200, 3, 24, 24)
    noise = natural_noise(shape, last, np.random.default_rng(0))
    channels = np.moveaxis(noise, 3 if last else 1, 0).reshape(3, -1)
    correlation = np.corrcoef(channels)[np.triu_indices(3, 1)]
    assert correlation == pytest.approx([0.9] * 3, abs=0.03)
