"""Reconstruction against least squares, and its choices on data made for them."""

from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize import (
    Activation,
    Bits,
    Dense,
    FixedPoint,
    LayerSamples,
    SampleChunk,
    Scale,
    Window,
    fit,
    nearest,
)
from onnx_evoq.quantize.closed_form.best_weight import best_float, choose_damping, damped
from onnx_evoq.quantize.closed_form.moments import Moments, MomentSums
from onnx_evoq.quantize.closed_form.reconstruct import reconstruct, reconstruct_with_activation
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid.grid_rows import row_limits, row_steps

Floats = NDArray[np.float32]
DENSE = Dense(transposed=False)


def sums_of(x: Floats, t: Floats, *, centred: bool = False, chunks: int = 4) -> MomentSums:
    """Moments of columns (positions, columns) and targets (positions, rows)."""
    sums = MomentSums(centred)
    for columns, targets in zip(np.array_split(x, chunks), np.array_split(t, chunks), strict=True):
        sums.add(columns[None], targets[None])
    return sums


def white(columns: int, rows: int) -> Moments:
    """Moments of independent columns: H = I."""
    return Moments(
        np.eye(columns)[None],
        np.zeros((1, rows, columns)),
        np.zeros((1, columns)),
        np.zeros((1, rows)),
    )


def correlated(positions: int, columns: int, seed: int = 0) -> Floats:
    mix = random(4, columns, seed=seed + 1)
    return random(positions, 4, seed=seed) @ mix + random(positions, columns, seed=seed + 2) / 4


def misfit(weight: NDArray[np.floating], x: Floats, t: Floats) -> float:
    return float(np.mean((x @ weight.T - t) ** 2))


def test_without_damping_the_best_float_weight_is_that_of_least_squares() -> None:
    x, t, weight = correlated(300, 6), random(300, 3, seed=9), random(1, 3, 6, seed=10)
    expected = np.linalg.lstsq(x.astype(np.float64), t.astype(np.float64))[0].T
    best_weight = best_float(weight.astype(np.float64), sums_of(x, t).moments(), 0.0)
    np.testing.assert_allclose(best_weight[0], expected, atol=1e-5)


def test_for_independent_columns_it_is_the_cross_moment() -> None:
    cross = random(1, 3, 6).astype(np.float64)
    moments = replace(white(6, 3), cross=cross)
    assert best_float(np.ones((1, 3, 6)), moments, 0.0) == pytest.approx(cross)


def test_with_centred_moments_it_is_that_of_least_squares_with_a_constant() -> None:
    x, t = correlated(300, 5) + 3, random(300, 2, seed=9) - 1
    with_one = np.concatenate([x, np.ones((300, 1))], axis=1).astype(np.float64)
    expected = np.linalg.lstsq(with_one, t.astype(np.float64))[0][:5].T
    moments = sums_of(x, t, centred=True).moments()
    np.testing.assert_allclose(
        best_float(np.zeros((1, 2, 5)), moments, 0.0)[0], expected, atol=1e-4
    )


def test_damping_weighs_the_float_weight_worked_by_hand() -> None:
    # H = 2, C = 6, W = 1, d = 1 * 2: W + (6 - 2) / (2 + 2)
    one = np.ones((1, 1, 1))
    moments = Moments(2 * one, 6 * one, np.zeros((1, 1)), np.zeros((1, 1)))
    assert best_float(one, moments, 1.0).item() == 2


def test_infinite_damping_leaves_the_weight_alone() -> None:
    weight = random(1, 3, 6).astype(np.float64)
    moments = replace(white(6, 3), cross=np.full((1, 3, 6), 9.0))
    assert (best_float(weight, moments, float("inf")) == weight).all()


def test_targets_of_the_weight_itself_leave_it_alone() -> None:
    x, weight = correlated(200, 6), random(3, 6, seed=5)
    best_weight = best_float(
        weight[None].astype(np.float64), sums_of(x, x @ weight.T).moments(), 0.03
    )
    np.testing.assert_allclose(best_weight[0], weight, atol=1e-4)


def test_damping_is_a_share_of_the_mean_square_of_each_group() -> None:
    hessian = np.stack([np.diag([1.0, 3.0]), np.diag([10.0, 30.0])])
    lifted = np.diagonal(damped(hessian, 0.5), axis1=1, axis2=2)
    assert lifted.tolist() == [[2, 4], [20, 40]]


def test_a_group_without_input_gets_the_identity() -> None:
    hessian = np.stack([np.eye(2), np.zeros((2, 2))])
    assert (damped(hessian, 0.5)[1] == np.eye(2)).all()


def test_few_noisy_targets_ask_for_the_weight_itself() -> None:
    x, weight = random(24, 20), random(3, 20, seed=1)
    t = x @ weight.T + 3 * random(24, 3, seed=2)
    assert choose_damping(weight[None].astype(np.float64), sums_of(x, t).folds()) == np.inf


def test_inputs_that_were_distorted_linearly_ask_for_little_damping() -> None:
    before, weight = correlated(400, 6), random(3, 6, seed=3)
    distorted = before @ (np.eye(6) + random(6, 6, seed=4) / 5).astype(np.float32)
    folds = sums_of(distorted, before @ weight.T).folds()
    assert choose_damping(weight[None].astype(np.float64), folds) <= 0.03


def test_it_is_a_tenth_of_what_half_of_the_data_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("onnx_evoq.quantize.closed_form.best_weight"), "DAMPINGS", (0.3, 30.0)
    )
    x, weight = correlated(400, 6), random(3, 6, seed=3)
    folds = sums_of(x, 2 * x @ weight.T).folds()
    assert choose_damping(weight[None].astype(np.float64), folds) == pytest.approx(0.03)


def test_what_gains_next_to_nothing_is_not_worth_a_change() -> None:
    x, weight = correlated(400, 6), random(3, 6, seed=3)
    for change, alone in ((1 + 1e-5, True), (1.01, False)):
        folds = sums_of(x, (change * x) @ weight.T).folds()
        assert np.isinf(choose_damping(weight[None].astype(np.float64), folds)) == alone


def test_one_chunk_is_too_little_to_choose_from() -> None:
    x = random(50, 4)
    folds = sums_of(x, x, chunks=1).folds()
    assert choose_damping(np.zeros((1, 4, 4)), folds) == np.inf


def test_a_large_layer_gets_the_usual_damping_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("onnx_evoq.quantize.closed_form.best_weight"), "_SEARCHED_UP_TO", 5
    )
    x, weight = correlated(400, 6), random(3, 6, seed=3)
    noisy = x @ weight.T + random(400, 3, seed=5)
    for t, expected in ((noisy, np.inf), (2 * x @ weight.T, 0.03)):
        matrix = weight[None].astype(np.float64)
        assert choose_damping(matrix, sums_of(x, t).folds()) == expected


def outlier(rows: int, value: float) -> NDArray[np.float64]:
    """Rows of 100 weights of 0.5, the first of each `value`."""
    matrix = np.full((1, rows, 100), 0.5)
    matrix[:, :, 0] = value
    return matrix


def steps_for(matrix: NDArray[np.float64], axis: int | None = None) -> list[float]:
    shape = matrix.shape[1:]
    grid = fit(matrix[0].astype(np.float32), 4, axis)
    hessian = white(shape[1], shape[0]).hessian
    chosen = choose_steps(matrix, hessian, grid, DENSE, shape, "pow2")
    assert (chosen.bits, chosen.axis) == (4, axis)
    return chosen.step.reshape(-1).tolist()


def test_one_outlier_is_clipped_for_the_sake_of_the_others() -> None:
    # Step 1 costs 99 * 0.5^2 in each row; 0.5 costs (4.5 - 3.5)^2; 0.25 costs (4.5 - 1.75)^2.
    assert steps_for(outlier(2, 4.5)) == [0.5]


def test_a_step_that_fits_all_stays() -> None:
    assert steps_for(np.arange(-8.0, 8.0)[None, None] + np.zeros((1, 2, 1))) == [1]


def test_per_channel_each_channel_has_its_own_step() -> None:
    matrix = outlier(3, 4.5)
    matrix[0, 1], matrix[0, 2] = 1.75, np.resize(np.arange(-8.0, 8.0), 100)
    assert steps_for(matrix, axis=0) == [0.5, 0.25, 1]


def test_some_rows_of_a_tall_matrix_choose_for_all() -> None:
    assert steps_for(outlier(200, 4.5)) == [0.5]


def test_large_layers_choose_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("onnx_evoq.quantize.closed_form.step_choice"), "_DESCENT_UP_TO", 5
    )
    assert steps_for(outlier(2, 4.5)) == [0.5]


def test_steps_that_may_be_any_are_shares_of_the_one_that_covers() -> None:
    matrix, grid = outlier(2, 7.0), FixedPoint(4, np.float32(1))
    chosen = choose_steps(matrix, white(100, 2).hessian, grid, DENSE, (2, 100), "float")
    # A row costs 99 * 0.3^2 + 1.4^2 = 10.9 at 0.8; 99 * 0.2^2 + 2.1^2 = 8.4 at 0.7; and at 0.6
    # 99 * 0.1^2 + 2.8^2 = 8.8.
    assert float(chosen.step) == pytest.approx(0.7)


def test_steps_of_a_transposed_convolution_follow_its_rows() -> None:
    layer = Window((2, 2), (1, 1), (1, 1), (0,) * 4, 2, transposed=True)
    grid = FixedPoint(4, np.float32([1, 2, 4]), 1)
    steps = row_steps(grid, layer, (4, 3, 2, 2))  # both groups share the weight's axis 1
    assert steps[:, :, 0].tolist() == [[1, 2, 4], [1, 2, 4]]


def test_steps_of_a_grouped_convolution_follow_its_rows() -> None:
    layer = Window((3,), (1,), (1,), (0, 0), 2)
    steps = row_steps(FixedPoint(4, np.float32([1, 2, 4, 8]), 0), layer, (4, 3, 3))
    assert steps[:, :, 0].tolist() == [[1, 2], [4, 8]]


def test_one_step_holds_for_every_row() -> None:
    assert row_steps(FixedPoint(4, np.float32(0.5)), DENSE, (3, 5)).tolist() == [[[0.5]] * 3]


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("axis", [None, 0])
def test_the_output_is_kept_better_than_by_nearest_rounding(axis: int | None, scale: str) -> None:
    x, weight = correlated(400, 24), random(8, 24, seed=3)
    t = x @ weight.T
    rounded = nearest(weight, fit(weight, 4, axis, scale))
    found = reconstruct(weight, DENSE, sums_of(x, t), 4, axis, scale).quantized
    before = rounded * fit(weight, 4, axis, scale).steps_for(2)
    assert misfit(found.values, x, t) < misfit(before, x, t) / 2


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_int8_in_the_shape_and_range_of_the_weight(bits: int) -> None:
    weight, layer = random(6, 2, 3, 3), Window((3, 3), (1, 1), (1, 1), (1,) * 4, 2)
    sums = MomentSums(True)
    for k in range(2):
        sums.add(random(2, 50, 18, seed=k), random(2, 50, 3, seed=k + 2))
    found = reconstruct(weight, layer, sums, bits, axis=0).quantized
    assert (found.codes.dtype, found.codes.shape) == (np.int8, weight.shape)
    assert found.codes.min() >= found.grid.low
    assert found.codes.max() <= found.grid.high


def test_steps_stay_powers_of_two_unless_any_is_allowed() -> None:
    x, weight = correlated(200, 12), random(5, 12, seed=3)
    sums = sums_of(x, x @ weight.T)
    assert reconstruct(weight, DENSE, sums, 4).quantized.grid.frac_bits is not None
    assert reconstruct(weight, DENSE, sums, 4, scale="float").quantized.grid.frac_bits is None


def test_the_bias_absorbs_the_mean_that_is_left() -> None:
    x, weight = correlated(200, 12) + 2, random(5, 12, seed=3)
    t = x @ weight.T + 7
    found = reconstruct(weight, DENSE, sums_of(x, t, centred=True), 3)
    left = (t - x @ found.quantized.values.T).mean(axis=0)
    np.testing.assert_allclose(found.bias, left, atol=1e-3)


def test_a_move_costs_what_it_adds_to_the_error() -> None:
    # E[x x^T] = I / 2, and one chunk asks for the careful damping: H + d I = 0.5 * 1.3 I.
    weight, x = np.float32([[0.3, 0.9]]), np.eye(2, dtype=np.float32)
    found = reconstruct(weight, DENSE, sums_of(x, x @ weight.T, chunks=1), 3)
    step = float(found.quantized.grid.step)
    error = found.quantized.values - weight
    allowed = found.quantized.codes < 3
    up = np.where(allowed, 0.65 * ((error + step) ** 2 - error**2), np.inf)
    np.testing.assert_allclose(found.up, up, rtol=1e-4)
    np.testing.assert_allclose(found.down, 0.65 * ((error - step) ** 2 - error**2), rtol=1e-4)


def test_rounding_is_damped_where_the_float_weight_need_not_be() -> None:
    # E[x x^T] = I / 2, and a hundredth of it is added.
    weight, x = np.float32([[0.3, 0.9]]), np.tile(np.eye(2, dtype=np.float32), (4, 1))
    sums = sums_of(x, 2 * x @ weight.T)
    assert choose_damping(weight[None].astype(np.float64), sums.folds()) < 1e-4
    found = reconstruct(weight, DENSE, sums, 8)
    step, error = float(found.quantized.grid.step), found.quantized.values - found.best_weight
    down = 0.505 * ((error - step) ** 2 - error**2)
    np.testing.assert_allclose(found.down, down, rtol=1e-3)


def test_the_spread_is_the_deviation_of_the_output() -> None:
    x, weight = correlated(300, 12) + 2, random(5, 12, seed=3)
    t = x @ weight.T
    found = reconstruct(weight, DENSE, sums_of(x, t, centred=True), 8)
    np.testing.assert_allclose(found.spread, t.std(axis=0), rtol=1e-3)


def test_an_input_that_is_always_zero_gets_nearest_rounding() -> None:
    weight = np.float32([[0.3, -0.9, 0.5], [0.1, 0.2, 0.7]])
    zeros = sums_of(np.zeros((20, 3), np.float32), np.zeros((20, 2), np.float32))
    found = reconstruct(weight, DENSE, zeros, 8)
    assert (found.quantized.codes == nearest(weight, found.quantized.grid)).all()
    assert not found.bias.any()


def test_a_weight_of_zeros_stays() -> None:
    x = random(40, 3)
    found = reconstruct(np.zeros((2, 3), np.float32), DENSE, sums_of(x, np.zeros((40, 2))), 4)
    assert not found.quantized.codes.any()


# In sight of an activation


def samples_of(
    x: Floats,
    t: Floats,
    activation: Activation | None,
    *,
    centred: bool = True,
    kind: type = LayerSamples,
) -> LayerSamples:
    """Columns (positions, columns) and targets (positions, rows), in four chunks."""
    samples = kind(centred, activation)
    for columns, targets in zip(np.array_split(x, 4), np.array_split(t, 4), strict=True):
        samples.add(SampleChunk(columns[None], targets[None]))
    return samples


def moments_behind_activation(y: Floats, activation: Activation) -> Floats:
    return np.minimum(
        np.where(y < activation.low, activation.alpha * (y - activation.low) + activation.low, y),
        activation.high,
    )


ACTIVATIONS = {"Relu": Activation(), "Clip": Activation(0, 3), "LeakyRelu": Activation(alpha=0.1)}


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_unseen_outputs_of_the_activation_are_kept_better_in_sight_of_it(
    kind: str, axis: int | None
) -> None:
    activation, weight = ACTIVATIONS[kind], random(8, 24, seed=3)
    x = correlated(1200, 24)
    t = x @ weight.T - (x @ random(24, 8, seed=4)) ** 2 / 8  # no weight gives what is hidden of it
    samples = samples_of(x[:800], t[:800], activation)
    errors = []
    for found in (
        reconstruct(weight, DENSE, samples.sums, 3, axis),
        reconstruct_with_activation(weight, DENSE, samples, 3, axis),
    ):
        y = x[800:] @ found.quantized.values.T + found.bias
        errors.append(
            float(
                np.mean(
                    (
                        moments_behind_activation(y, activation)
                        - moments_behind_activation(t[800:], activation)
                    )
                    ** 2
                )
            )
        )
    assert errors[1] < 0.95 * errors[0]


def test_a_bias_behind_relu_worked_by_hand() -> None:
    # Inputs are zero, so the bias is all there is: relu(b)^2 + (b - 1)^2 is least at 1/2. Targets
    # -15 and 1 give b = -7; -7 and 1 then give -3; and so on, -1, 0, and 0 and 1 give 1/2.
    x, t = np.zeros((40, 1), np.float32), np.resize(np.float32([-15, 1]), (40, 1))
    weight, samples = np.ones((1, 1), np.float32), samples_of(x, t, Activation())
    assert reconstruct(weight, DENSE, samples.sums, 4).bias.tolist() == [-7]
    assert reconstruct_with_activation(weight, DENSE, samples, 4).bias.tolist() == [0.5]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    "activation", [None, Activation(-100, 100)], ids=["nothing", "nothing hidden"]
)
def test_where_nothing_is_hidden_it_is_plain_reconstruction(
    activation: Activation | None, centred: bool
) -> None:
    x, weight = correlated(400, 12), random(5, 12, seed=3)
    samples = samples_of(x, x @ weight.T + random(400, 5, seed=4), activation, centred=centred)
    plain = reconstruct(weight, DENSE, samples.sums, 3, 0, "float")
    found = reconstruct_with_activation(weight, DENSE, samples, 3, 0, "float")
    assert (found.quantized.codes == plain.quantized.codes).all()
    assert (found.quantized.grid.step == plain.quantized.grid.step).all()
    for field in fields(plain)[1:]:
        np.testing.assert_array_equal(getattr(found, field.name), getattr(plain, field.name))


def test_a_layer_without_a_bias_gets_none_on_the_way() -> None:
    biases = []

    class Watched(LayerSamples):
        def moments_behind_activation(
            self, weight: NDArray[np.float64], bias: NDArray[np.float64]
        ) -> MomentSums:
            biases.append(bias)
            return super().moments_behind_activation(weight, bias)

    x, weight = correlated(400, 12) + 2, random(5, 12, seed=3)
    t = x @ weight.T + 1
    for centred in (True, False):
        biases.clear()
        samples = samples_of(x, t, Activation(), centred=centred, kind=Watched)
        found = reconstruct_with_activation(weight, DENSE, samples, 2)
        assert [bool(bias.any()) for bias in biases] == [centred] * len(biases) != []
        assert bool(found.bias.any()) == centred


def test_groups_and_steps_per_channel_go_through() -> None:
    weight, layer = random(6, 2, 3, 3), Window((3, 3), (1, 1), (1, 1), (1,) * 4, 2)
    matrix, samples = layer.matrix(weight), LayerSamples(True, Activation())
    seen = [random(2, 200, 18, seed=k) for k in range(3)]
    for x in seen[:2]:
        samples.add(SampleChunk(x, x @ matrix.transpose(0, 2, 1)))
    errors = []
    for found in (
        reconstruct(weight, layer, samples.sums, 3, 0),
        reconstruct_with_activation(weight, layer, samples, 3, 0),
    ):
        ours = layer.matrix(found.quantized.values).transpose(0, 2, 1)
        y = seen[2] @ ours + found.bias.reshape(2, 1, 3)
        wanted = seen[2] @ matrix.transpose(0, 2, 1)
        errors.append(float(np.mean((np.maximum(y, 0) - np.maximum(wanted, 0)) ** 2)))
    assert errors[1] < errors[0]


# A width per channel


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("activation", [None, Activation(0.0, np.inf)])
def test_rows_of_many_widths_are_those_of_each_width(
    activation: Activation | None, scale: Scale
) -> None:
    x, weight, widths = correlated(400, 12), random(5, 12, seed=3), (2, 6, 3, 4, 2)
    samples = LayerSamples(centred=True, activation=activation)
    samples.add(SampleChunk(x[None], (x @ weight.T)[None]))
    bits: Bits
    found = {
        bits: reconstruct_with_activation(weight, DENSE, samples, bits, axis=0, scale=scale)
        for bits in (widths, *set(widths))
    }
    mixed = found[widths]
    assert mixed.quantized.grid.bits == widths
    for row, bits in enumerate(widths):
        one = found[bits]
        assert (mixed.quantized.codes[row] == one.quantized.codes[row]).all()
        assert mixed.quantized.grid.step[row] == one.quantized.grid.step[row]
        np.testing.assert_allclose(mixed.up[row], one.up[row], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(mixed.bias[row], one.bias[row], atol=1e-6)


def test_the_limits_of_rows_follow_the_channels() -> None:
    # A ConvTranspose of two groups has its three channels in both of them.
    layer = Window((1,), (1,), (1,), (0, 0), groups=2, transposed=True)
    grid = FixedPoint((2, 3, 4), np.ones(3, np.float32), axis=1)
    low, high = row_limits(grid, layer, (4, 3, 1))
    assert np.squeeze(low, 2).tolist() == [[-2, -4, -8]] * 2
    assert np.squeeze(high, 2).tolist() == [[1, 3, 7]] * 2
    assert row_limits(FixedPoint(3, np.float32(1)), layer, (4, 3, 1)) == (-4, 3)
