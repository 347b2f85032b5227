"""An activation counts as a layer whose weights are its values."""

import numpy as np
import pytest

from onnx_evoq.quantize import ActivationGrid, ScaledLayer, activation_as_layer, channel_scales
from onnx_evoq.quantize.scales import best_steps

VALUES = np.abs(np.random.default_rng(0).standard_normal((6, 500)))
UNLIKE = 2.0 ** np.arange(-3, 3)[:, None]


def as_layer(values: np.ndarray, *, signed: bool = False, share: float = 1.0) -> ScaledLayer:
    """An activation of 4 bits, each of whose channels has a scale of its own."""
    channels = np.arange(len(values))
    return activation_as_layer(values, channels, 4, signed=signed, pow2=True, share=share)


def reader(weight: np.ndarray) -> ScaledLayer:
    """A layer of wide codes that reads these channels with one row."""
    count = len(weight)
    return ScaledLayer(
        weight[None, None], np.ones((1, count)), 1.0, np.full((1, 1), -1), np.arange(count)[None],
        12, per_channel=False, pow2=False,
    )  # fmt: skip


def error(values: np.ndarray, scales: np.ndarray, step: float, *, signed: bool = False) -> float:
    """The mean squared error of rounding scaled values, in their own units, summed."""
    scaled = values * scales[:, None]
    rounded = ActivationGrid(step, 4, signed).values(scaled)
    return float((((rounded - scaled) / scales[:, None]) ** 2).mean(axis=1).sum())


def test_channels_of_unlike_range_that_count_alike_in_their_units_get_one_range() -> None:
    layers = [as_layer(VALUES * UNLIKE), reader(1 / UNLIKE[:, 0])]
    scales, left = channel_scales(layers, 6)
    assert np.ptp(np.log2(scales * UNLIKE[:, 0])) < 0.6
    assert left < 0.3


@pytest.mark.parametrize("signed", [False, True])
def test_the_step_is_about_the_best(signed: bool) -> None:
    values = VALUES * (-1.0) ** (signed * np.arange(VALUES.shape[1]))
    ((step,),) = best_steps([as_layer(values, signed=signed)], np.ones(6))[0][:, :1]
    errors = {k: error(values, np.ones(6), step * 2.0**k, signed=signed) for k in (-1, 0, 1)}
    assert errors[0] == min(errors.values())


def test_best_steps_follow_the_scales() -> None:
    layers = [as_layer(VALUES)]
    plain, twice = (best_steps(layers, np.full(6, scale))[0] for scale in (1.0, 2.0))
    np.testing.assert_array_equal(twice, 2 * plain)


def test_a_share_weighs_activations_against_weights() -> None:
    # The weights are alike as they are, the activations are not.
    alike = ScaledLayer(
        np.random.default_rng(1).standard_normal((1, 6, 40)), np.ones((1, 40)), 1.0,
        np.arange(6)[None], np.full((1, 40), -1), 4, per_channel=False, pow2=True,
    )  # fmt: skip
    spreads = []
    for share in (1e-6, 1e6):
        layers = [alike, as_layer(VALUES * UNLIKE, share=share), reader(np.ones(6))]
        spreads.append(np.ptp(np.log2(channel_scales(layers, 6)[0])))
    assert spreads[0] < 1 < spreads[1]


def test_a_channel_of_zeros_keeps_its_scale() -> None:
    values = VALUES.copy()
    values[2] = 0
    scales, _ = channel_scales([as_layer(values), reader(np.ones(6))], 6)
    assert np.isfinite(scales).all()
