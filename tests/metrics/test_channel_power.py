"""The power of channels, worked by hand."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.metrics.channel_power import channel_power, shared_power

BOXES_AND_SCORES = np.abs(random(50, 30, 6)) * [300, 300, 100, 100, 0.01, 0.1]  # (n, rows, 6)


def test_channels_of_like_power_have_their_mean_power() -> None:
    axis, power = channel_power([random(50, 4) * [1, 1, 1, 2]])
    assert axis is None
    assert power == pytest.approx([7 / 4], rel=0.2)


def test_channels_of_unlike_power_have_their_own() -> None:
    y = random(50, 3) * [100, 1, 1]
    axis, power = channel_power([y[:20], y[20:]])
    assert axis == -1
    np.testing.assert_allclose(power, y.var(axis=0, ddof=1), rtol=1e-6)


def test_channels_are_alike_down_to_a_tenth_of_the_mean_power() -> None:
    signs = np.array([[1.0], [-1.0]])
    assert channel_power([signs * np.sqrt([1.9, 0.11])])[0] is None  # 11 % of the mean
    assert channel_power([signs * np.sqrt([1.9, 0.09])])[0] == -1


@pytest.mark.parametrize("axis", [-1, -2])
def test_the_axis_of_boxes_and_scores_is_found(axis: int) -> None:
    found, power = channel_power([np.moveaxis(BOXES_AND_SCORES, 2, axis)])
    assert found == axis
    assert power.shape == (6,)
    assert (power[:4] > 1000 * power[4:].max()).all()


def test_maps_have_their_channels_first_or_last() -> None:
    maps = random(9, 8, 7, 2) * [100, 1]
    assert channel_power([maps])[0] == -1
    assert channel_power([np.moveaxis(maps, 3, 1)])[0] == -3


def test_positions_of_unlike_power_are_no_channels() -> None:
    y = random(50, 20, 8) * np.geomspace(1, 30, 20)[:, None]
    assert channel_power([y])[0] is None
    assert channel_power([y], axis=-2)[0] == -2  # unless the graph says so


def test_an_axis_that_the_graph_names_is_the_only_one() -> None:
    assert channel_power([BOXES_AND_SCORES], axis=-2)[0] is None


def test_probabilities_are_alike() -> None:
    assert channel_power([BOXES_AND_SCORES], alike=True)[0] is None


def test_what_does_not_depend_on_the_input_is_no_power() -> None:
    places = np.arange(30.0)[:, None] * [10, 10, 0]  # of boxes
    y = random(50, 30, 3) * [1, 1, 0.1]
    _, power = channel_power([y + places])
    assert power == pytest.approx(channel_power([y])[1], rel=0.01)


def test_the_power_of_one_sample_is_the_variance_of_its_values() -> None:
    y = random(1, 40, 2) * [100, 1] + [0, 7]
    np.testing.assert_allclose(channel_power([y])[1], y[0].var(axis=0), rtol=1e-6)


def test_power_is_a_millionth_of_the_mean_square_at_least() -> None:
    y = random(50, 2) * [100, 1e-3] + [0, 10]
    assert channel_power([y])[1][1] == pytest.approx(100e-6, rel=0.01)


def test_scores_have_a_hundredth_of_their_mean_power_at_least() -> None:
    y = np.abs(random(50, 4)) * [10, 0.1, 0.1, 1e-3]
    power = channel_power([y])[1]
    assert power[3] == pytest.approx(0.01 * (power[1] + power[2]) / 3, rel=0.02)
    larger = channel_power([y * 1000])[1]  # these are no scores
    assert larger[3] == pytest.approx((1000 * y[:, 3]).var(ddof=1))


def test_a_channel_that_never_changes_has_the_mean_power_of_the_others() -> None:
    y = random(50, 3) * [100, 1, 0]
    power = channel_power([y])[1]
    assert power[2] == pytest.approx(power[:2].mean())


def test_tiny_scores_beside_large_boxes_keep_their_power() -> None:
    y = random(50, 2) * [1000, 1e-4]
    power = channel_power([y])[1]
    assert power[1] == pytest.approx(1e-8, rel=0.5)


@pytest.mark.parametrize("shape", [(5, 3), (5,), (1, 1), (5, 0), (0, 3)])
def test_outputs_without_power_have_one(shape: tuple[int, ...]) -> None:
    axis, power = channel_power([np.zeros(shape, np.float32)])
    assert (axis, power.tolist()) == (None, [1.0])


def test_outputs_of_several_lengths_have_one_power_of_each_channel() -> None:
    y = random(8, 30, 2) * [100, 1]
    axis, power = channel_power([y[:4], y[4:, :10]])
    assert axis == -1
    assert power == pytest.approx([1e4, 1], rel=0.3)


def test_outputs_that_are_no_numbers_have_finite_powers() -> None:
    y = random(8, 3)
    y[0, 0] = np.nan
    assert np.isfinite(channel_power([y])[1]).all()


def test_shared_powers_are_the_mean_down_to_a_tenth_of_it() -> None:
    assert shared_power(np.array([[1.9, 0.11]])).tolist() == [[1.005, 1.005]]
    assert shared_power(np.array([1.9, 0.09])).tolist() == [1.9, 0.09]
    assert shared_power(np.array([2.0, 0.0, 0.01])).tolist() == [2.0, 1.005, 0.01]
    assert shared_power(np.zeros(2)).tolist() == [0.0, 0.0]
