"""Synthetic inputs: shapes, types and limits, and the spectrum of those that are images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.data.synthetic import natural_noise, synthetic_samples
from onnx_evoq.errors import DataError, ModelError
from onnx_evoq.signature import TensorSpec


def spec(*shape: int | None, dtype: str = "float32", below: int | None = None) -> TensorSpec:
    return TensorSpec("x", np.dtype(dtype), shape, below)


def draw(
    wanted: TensorSpec,
    samples: int = 4,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
) -> NDArray[np.generic]:
    drawn = synthetic_samples([wanted], samples, np.random.default_rng(seed), limits)
    return drawn.inputs["x"]


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [
        (spec(None, 5), (4, 5)),
        (spec(1, 5), (4, 5)),
        (spec(None, None, 7), (4, 32, 7)),
        (spec(None, 3, None, None), (4, 3, 128, 128)),
        (spec(None, None, 8, 8), (4, 3, 8, 8)),
        (spec(None, None, None, 3), (4, 128, 128, 3)),
        (spec(None), (4,)),
        (spec(), (4,)),
    ],
)
def test_open_axes_are_filled_in(wanted: TensorSpec, shape: tuple[int, ...]) -> None:
    assert draw(wanted).shape == shape


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_have_mean_0_and_deviation_1(dtype: str) -> None:
    values = draw(spec(None, 50, dtype=dtype), 200)
    assert values.dtype == dtype
    assert float(np.mean(values, dtype=np.float64)) == pytest.approx(0, abs=0.05)
    assert float(np.std(values, dtype=np.float64)) == pytest.approx(1, abs=0.05)


def test_images_have_mean_0_and_deviation_1() -> None:
    values = draw(spec(None, 3, 16, 16), 20)
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


def test_other_floats_are_white() -> None:
    noise = draw(spec(None, 64), 500)
    amplitude = np.sqrt((np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(0))
    along = np.arange(2, 31)
    assert np.polyfit(np.log(along), np.log(amplitude[along]), 1)[0] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("last", [False, True])
def test_channels_of_images_share_nine_tenths_of_their_variance(last: bool) -> None:
    shape = (200, 24, 24, 3) if last else (200, 3, 24, 24)
    noise = natural_noise(shape, last, np.random.default_rng(0))
    channels = np.moveaxis(noise, 3 if last else 1, 0).reshape(3, -1)
    correlation = np.corrcoef(channels)[np.triu_indices(3, 1)]
    assert correlation == pytest.approx([0.9] * 3, abs=0.03)


@pytest.mark.parametrize("wanted", [spec(None, 20), spec(None, 3, 8, 8)])
def test_limits_are_reached_and_kept(wanted: TensorSpec) -> None:
    values = draw(wanted, 300, (0, 255))
    assert (values.min(), values.max()) == (0, 255)
    assert float(values.mean()) == pytest.approx(127.5, abs=5)


def test_indices_cover_the_rows_of_their_table() -> None:
    values = draw(spec(None, 20, dtype="int64", below=7), 50)
    assert values.dtype == np.int64
    assert np.unique(values).tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8"])
def test_flags_and_other_whole_numbers_are_0_or_1(dtype: str) -> None:
    values = draw(spec(None, 20, dtype=dtype))
    assert values.dtype == dtype
    assert np.unique(values).tolist() == [0, 1]


def test_draws_depend_on_the_seed_alone() -> None:
    wanted = spec(None, 3, 8, 8)
    assert np.array_equal(draw(wanted, seed=1), draw(wanted, seed=1))
    assert not np.array_equal(draw(wanted, seed=1), draw(wanted, seed=2))


def test_every_input_is_drawn() -> None:
    specs = [spec(None, 2), TensorSpec("mask", np.dtype("bool"), (None, 3))]
    drawn = synthetic_samples(specs, 4, np.random.default_rng(0))
    assert {name: array.shape for name, array in drawn.inputs.items()} == {
        "x": (4, 2),
        "mask": (4, 3),
    }


def test_input_without_a_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"input 'x' states no shape.*: give data"):
        draw(TensorSpec("x", np.dtype("float32"), None))


def test_text_cannot_be_drawn() -> None:
    with pytest.raises(ModelError, match="input 'x' holds object, which cannot be drawn: give"):
        draw(spec(None, 2, dtype="object"))


def test_note_says_that_real_data_do_better() -> None:
    drawn = synthetic_samples([spec(None, 2)], 4, np.random.default_rng(0))
    assert drawn.labels is None
    (note,) = drawn.notes
    assert "scored on 4 synthetic inputs from about -2 to 2" in note
    assert "a few hundred real samples would do better" in note
