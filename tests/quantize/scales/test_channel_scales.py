"""The scales of channels against errors of rounding."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize.grid import fit, nearest
from onnx_evoq.quantize.scales.channel_scales import (
    ScaledLayer,
    _add,
    _relevance,
    _State,
    channel_scales,
)

MODULE = sys.modules["onnx_evoq.quantize.scales.channel_scales"]


def layer(weight: NDArray[np.floating], **options: object) -> ScaledLayer:
    """A layer of one group whose channels stay, unless the options say so."""
    rows, columns = weight.shape
    given = {
        "power": np.ones((1, columns)),
        "output": float((weight**2).sum(axis=1).mean()),
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


def test_a_layer_of_more_importance_is_left_with_less_error() -> None:
    before = layer(random(8, 40), rows=np.arange(8)[None])
    behind = layer(random(8, 8, seed=1) * 2.0 ** np.arange(-4, 4), columns=np.arange(8)[None])
    errors = []
    for importance in (1e-3, 1e3):
        scales, _ = channel_scales([before, replace(behind, importance=importance)], 8)
        errors.append(rounding_error(behind.weight[0], 1 / scales))
    assert errors[1] < errors[0]


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
        weight.astype(np.float64), np.ones((6, 9)), 1.0, np.arange(6)[:, None],
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


# The errors of options


ROWS, COLUMNS = np.array([[0, 1, -1, 0, 2]]), np.array([[3, -1, 1, 3, 3, 2, -1]])


def state_of(per_channel: bool, *, pow2: bool = True) -> tuple[_State, NDArray[np.intp]]:
    """A layer some of whose rows and columns share scales, or have none; and present scales."""
    given = layer(
        random(5, 7), rows=ROWS, columns=COLUMNS, per_channel=per_channel, pow2=pow2,
        power=1 + random(1, 7, seed=1) ** 2,
    )  # fmt: skip
    state, logs = _State(given, np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])), np.array([3, -5, 8, 1, 0])
    state.choose_steps(logs)
    return state, logs


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_error_of_an_option_is_that_of_the_layer_with_this_scale(per_channel: bool) -> None:
    # Of scales of rows or of columns only, each by itself: 0 is one of rows, 3 one of columns.
    state, logs = state_of(per_channel, pow2=False)
    for scale in (0, 3):
        errors = state.errors_of(np.array([scale]), logs)[0]
        whole = []
        for option in (-20, -3, 0, 5, 30):
            changed = logs.copy()
            changed[scale] = option
            other, _ = state_of(per_channel, pow2=False)
            if scale == 0 and per_channel:
                other.choose_steps(changed)
            whole.append(other.error_with(changed) - errors[option + 96])
        np.testing.assert_allclose(whole, whole[0], rtol=1e-9)  # the error of all other weights


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_errors_of_several_scales_are_those_of_each(per_channel: bool) -> None:
    state, logs = state_of(per_channel)
    together = state.errors_of(np.array([0, 2, 3]), logs)
    for found, scale in zip(together, (0, 2, 3), strict=True):
        np.testing.assert_allclose(found, state.errors_of(np.array([scale]), logs)[0], rtol=1e-9)


def test_weights_without_a_place_do_not_count() -> None:
    state, _ = state_of(per_channel=False)
    bins, rows = np.zeros(35, np.intp), np.repeat(np.arange(5), 7)
    every = state._errors(bins, rows, 5, -2, 5)
    some = state._errors(bins, np.where(rows == 3, -1, np.minimum(rows, 3)), 4, -2, 5)
    np.testing.assert_allclose(some, every[[0, 1, 2, 4]])
    # At bin 0 a weight is one step large, so K = 1/12; an eighth of an octave on, 1/12 / 2^(1/4).
    power = state._power.reshape(5, 7).sum(axis=1)
    np.testing.assert_allclose(every[:, 2], power / 12, rtol=1e-9)
    np.testing.assert_allclose(every[:, 3], power / 12 / 2**0.25, rtol=1e-9)


def test_errors_are_added_at_their_places() -> None:
    place, errors = np.array([[2, -1, 0], [2, 4, -1]]), np.arange(12.0).reshape(2, 3, 2)
    total = np.ones((5, 2))
    _add(total, place, errors)
    # Row 2 gets (0, 1) and (6, 7); row 0 gets (4, 5), and row 4 (8, 9).
    assert total.tolist() == [[5, 6], [1, 1], [7, 9], [1, 1], [9, 10]]


# Large matrices


@pytest.mark.parametrize(("rows", "columns"), [(200, 130), (130, 500), (64, 900), (900, 20)])
def test_rows_and_columns_have_about_as_many_weights_that_are_looked_at(
    rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "_ENTRIES", 64)
    state = _State(layer(random(rows, columns)), np.ones((1, rows)))
    apart = max(1, min(rows, columns) // 64)
    of_rows, of_columns = (np.bincount(index) for index in (state._row, state._column))
    assert (len(of_rows), len(of_columns)) == (rows, columns)
    for found, length in ((of_rows, columns), (of_columns, rows)):
        assert found.min() >= length // apart
        assert found.max() <= -(-length // apart)
    assert min(of_rows.min(), of_columns.min()) >= min(rows, columns, 64)


def test_the_weights_that_are_looked_at_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    given, relevance = layer(random(256, 256)), np.ones((1, 256))
    logs, errors = np.zeros(1, np.intp), []
    for entries in (64, 10**9):
        monkeypatch.setattr(MODULE, "_ENTRIES", entries)
        state = _State(given, relevance)
        state.choose_steps(logs)
        errors.append(state.error_with(logs))
    assert errors[0] != errors[1]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


POINT, WINDOW = np.ones(1), np.array([1, 2, 1, 1, 4, 1, 1, 2, 1])  # kernels, largest in the middle


def around(channels: int, outside: int, kernel: NDArray[np.floating]) -> list[ScaledLayer]:
    """A layer with so many output channels of unlike range, and the one that reads them."""
    rng, size = np.random.default_rng(0), kernel.size
    unlike = 2.0 ** rng.standard_normal(channels)
    before = rng.standard_normal((channels, outside, size)) * kernel * unlike[:, None, None]
    after = rng.standard_normal((outside, channels, size)) * kernel / unlike[:, None]
    numbers = np.arange(channels)
    return [
        layer(before.reshape(channels, -1), rows=numbers[None]),
        layer(
            after.reshape(outside, -1), columns=np.repeat(numbers, size)[None],
            power=np.repeat(unlike**2, size)[None],
        ),
    ]  # fmt: skip


def error_of_all_weights(layers: list[ScaledLayer], scales: NDArray[np.floating]) -> float:
    """The error of layers with these scales and the best steps; nothing may be left out."""
    logs, total = np.append(np.rint(8 * np.log2(scales)).astype(np.intp), 0), 0.0
    for each, relevance in zip(layers, _relevance(layers, len(scales)), strict=True):
        state = _State(each, relevance)
        state.choose_steps(logs)
        total += state.error_with(logs)
    return total


@pytest.mark.parametrize(
    ("channels", "outside", "kernel"),
    [(256, 128, POINT), (128, 128, WINDOW), (192, 64, WINDOW), (192, 192, WINDOW)],
    ids=["1x1", "3x3 of 128", "3x3 of 192 and 64", "3x3 of 192"],
)
def test_scales_from_some_weights_are_nearly_as_good_as_those_from_all(
    channels: int, outside: int, kernel: NDArray[np.floating], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = around(channels, outside, kernel)
    monkeypatch.setattr(MODULE, "_ENTRIES", 64)
    some, _ = channel_scales(layers, channels)
    monkeypatch.setattr(MODULE, "_ENTRIES", 10**9)
    every, _ = channel_scales(layers, channels)
    least, found = (error_of_all_weights(layers, scales) for scales in (every, some))
    assert (some != every).any()
    assert least < 0.5 * error_of_all_weights(layers, np.ones(channels))
    assert found < 1.2 * least


@pytest.mark.parametrize("per_channel", [False, True])
def test_rows_with_a_step_of_their_own_count_more_alike(per_channel: bool) -> None:
    # The second layer reads the two rows with weights 1 and 4: 16 times the relevance.
    first = layer(random(2, 6), rows=np.arange(2)[None], per_channel=per_channel)
    second = layer(np.array([[1.0, 4.0]]), columns=np.arange(2)[None], output=1.0)
    found = _relevance([first, second], 2)[0][0]
    np.testing.assert_allclose(found[1] / found[0], 2 if per_channel else 16)
    np.testing.assert_allclose(found.prod(), 16)


def test_rows_at_the_end_count_by_the_power_of_their_output() -> None:
    end = layer(random(3, 6), output=np.array([[4.0, 0.5, 0.0]]))
    np.testing.assert_allclose(_relevance([end], 2)[0], [[0.25, 2.0, 0.0]])


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_layer_with_a_constant_output_does_not_count(per_channel: bool) -> None:
    unlike = 2.0 ** np.arange(-4, 4)[:, None]
    weight = np.clip(random(8, 40), -2, 2) * unlike
    live = layer(weight, rows=np.arange(8)[None], per_channel=per_channel)
    dead = layer(random(4, 6), power=np.zeros((1, 6)), output=0.0, per_channel=per_channel)
    alone, both = channel_scales([live], 8), channel_scales([live, dead], 8)
    np.testing.assert_array_equal(both[0], alone[0])
    np.testing.assert_allclose(both[1], alone[1])
