"""The scales of channels against errors of rounding."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize.grid import fit, nearest
from onnx_evoq.quantize.scales.channel_scales import ScaledLayer, channel_scales


def layer(weight: NDArray[np.floating], **options: object) -> ScaledLayer:
    """A layer of one group whose channels stay, unless the options say so."""
    rows, columns = weight.shape
    given = {
        "power": np.ones((1, columns)),
        "rows": np.full((1, rows), -1),
        "columns": np.full((1, columns), -1),
        "bits": 4,
        "per_channel": False,
        "pow2": True,
        **options,
    }
    return ScaledLayer(weight[None].astype(np.float64), **given)  # type: ignore[arg-type]


def rounding_error(weight: NDArray[np.floating], scales: NDArray[np.floating]) -> float:
    """The squared error of rounding a scaled weight, in its own unit."""
    scaled = (weight * scales).astype(np.float32)
    step = fit(scaled, 4)
    error = nearest(scaled, step) * step.step - scaled
    return float(((error / scales) ** 2).sum())


def test_rows_of_unlike_range_get_one_range() -> None:
    weight = np.clip(random(8, 40), -2, 2)
    ranges = 2.0 ** np.arange(-4, 4)[:, None]
    scales, left = channel_scales([layer(weight * ranges, rows=np.arange(8)[None])], 8)
    assert np.ptp(np.log2(scales * ranges[:, 0])) < 0.6
    assert left < 0.4


def test_the_next_layer_counts_as_well() -> None:
    first = layer(random(8, 40), rows=np.arange(8)[None])
    second = layer(random(8, 8, seed=1), columns=np.arange(8)[None])
    alone, _ = channel_scales([first], 8)
    scales, left = channel_scales([first, second], 8)
    assert np.ptp(np.log2(scales)) <= np.ptp(np.log2(alone)) + 1
    assert left < 1


def test_a_pair_with_unlike_channels_is_balanced_again() -> None:
    weight, after = random(8, 40), random(12, 8, seed=1)
    unlike = 2.0 ** random(8, seed=2).astype(np.float64)
    pair = [
        layer(weight * unlike[:, None] ** 4, rows=np.arange(8)[None]),
        layer(after / unlike**4, columns=np.arange(8)[None], power=unlike[None] ** 8),
    ]
    scales, left = channel_scales(pair, 8)
    assert left < 0.5
    assert np.std(np.log2(scales * unlike**4)) < np.std(np.log2(unlike**4)) / 2


def test_with_a_step_per_row_a_scale_makes_up_for_powers_of_two() -> None:
    # 4 bits end at 7: a maximum of 1.3 asks for a step of 1/4 and wastes a third of the codes.
    weight = np.linspace(-1.3, 1.3, 60)[None]
    scales, left = channel_scales([layer(weight, rows=np.zeros((1, 1), int), per_channel=True)], 1)
    assert rounding_error(weight, scales) < 0.6 * rounding_error(weight, np.ones(1))
    assert left < 0.8


def test_any_step_leaves_a_single_row_alone() -> None:
    one = layer(random(1, 40), rows=np.zeros((1, 1), int), per_channel=True, pow2=False)
    scales, left = channel_scales([one], 1)
    assert scales.tolist() == [1]
    assert left == 1


def test_groups_of_a_layer_have_rows_of_their_own() -> None:
    weight = random(6, 1, 9) * 2.0 ** np.arange(-3, 3)[:, None, None]
    depthwise = ScaledLayer(
        weight.astype(np.float64), np.ones((6, 9)), np.arange(6)[:, None],
        np.full((6, 9), -1), 4, per_channel=False, pow2=True,
    )  # fmt: skip
    scales, left = channel_scales([depthwise], 6)
    assert np.ptp(np.log2(scales * 2.0 ** np.arange(-3, 3))) < 2
    assert left < 0.5


@pytest.mark.parametrize("dead", [0.0, 1e-40])
def test_channels_without_weights_keep_their_scale(dead: float) -> None:
    weight = random(4, 20)
    weight[2] *= dead
    scales, _ = channel_scales([layer(weight, rows=np.arange(4)[None])], 4)
    assert scales[2] == 1


def test_without_free_channels_nothing_is_left_to_gain() -> None:
    fixed = layer(random(4, 6))
    scales, left = channel_scales([fixed, replace(fixed, bits=8)], 0)
    assert (scales.shape, left) == ((0,), 1.0)


def test_a_residual_layer_shares_its_scales_with_its_input() -> None:
    numbers = np.arange(6)[None]
    weight = random(6, 6) * 2.0 ** np.arange(-3, 3)[:, None]
    before = layer(random(6, 20, seed=1) * 2.0 ** np.arange(-3, 3)[:, None], rows=numbers)
    residual = layer(weight, rows=numbers, columns=numbers)
    scales, left = channel_scales([before, residual], 6)
    assert left <= 1
    assert np.isfinite(scales).all()
