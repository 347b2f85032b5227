"""Reconstruction against nearest rounding, by hand, and behind activations."""

from dataclasses import fields

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, correlated, sums_of
from numpy.typing import NDArray

from onnx_evoq.executors.tasks.threads import Threads
from onnx_evoq.quantize import (
    FULL,
    Activation,
    Bits,
    Effort,
    GridSpec,
    LayerReconstruction,
    LayerSamples,
    Linear,
    SampleChunk,
    Scale,
    Window,
    fit,
    nearest,
    reconstruct_with_activation,
)
from onnx_evoq.quantize.closed_form.best_weight import choose_damping
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.rows import row_codes as module

Floats = NDArray[np.float32]


def reconstruct(
    weight: Floats, layer: Linear, sums: MomentSums, spec: GridSpec
) -> LayerReconstruction:
    """Reconstruction from moments, without an activation."""
    samples = LayerSamples(sums._centred)
    samples.sums = sums
    return reconstruct_with_activation(weight, layer, samples, spec)


def mean_square(weight: NDArray[np.floating], x: Floats, t: Floats) -> float:
    return float(np.mean((x @ weight.T - t) ** 2))


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("axis", [None, 0])
def test_the_output_is_kept_better_than_by_nearest_rounding(axis: int | None, scale: Scale) -> None:
    x, weight = correlated(400, 24), random(8, 24, seed=3)
    t = x @ weight.T
    grid = fit(weight, 4, axis, scale)
    found = reconstruct(weight, DENSE, sums_of(x, t), GridSpec(4, axis, scale)).quantized
    rounded = nearest(weight, grid) * grid.steps_for(2)
    assert mean_square(found.values, x, t) < mean_square(rounded, x, t) / 2


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_int8_in_the_shape_and_range_of_the_weight(bits: int) -> None:
    weight, layer = random(6, 2, 3, 3), Window((3, 3), (1, 1), (1, 1), (1,) * 4, 2)
    sums = MomentSums(True)
    for k in range(2):
        sums.add(random(2, 50, 18, seed=k), random(2, 50, 3, seed=k + 2))
    found = reconstruct(weight, layer, sums, GridSpec(bits, axis=0))
    codes, grid = found.quantized
    assert (codes.dtype, codes.shape) == (np.int8, weight.shape)
    assert codes.min() >= grid.low
    assert codes.max() <= grid.high
    for array in (found.up, found.down, found.best_weight):
        assert (array.dtype, array.shape) == (np.float32, weight.shape)
    for array in (found.bias, found.spread):
        assert (array.dtype, array.shape) == (np.float32, (6,))


def test_steps_stay_powers_of_two_unless_any_is_allowed() -> None:
    x, weight = correlated(200, 12), random(5, 12, seed=3)
    sums = sums_of(x, x @ weight.T)
    pow2, free = (reconstruct(weight, DENSE, sums, GridSpec(4, None, s)) for s in ("pow2", "float"))  # type: ignore[arg-type]
    assert pow2.quantized.grid.frac_bits is not None
    assert free.quantized.grid.frac_bits is None


def test_the_bias_takes_up_the_error_of_the_mean() -> None:
    x, weight = correlated(200, 12) + 2, random(5, 12, seed=3)
    t = x @ weight.T + 7
    found = reconstruct(weight, DENSE, sums_of(x, t, centred=True), GridSpec(3))
    error = (t - x @ found.quantized.values.T).mean(axis=0)
    np.testing.assert_allclose(found.bias, error, atol=1e-3)


def test_a_move_costs_what_it_adds_to_the_error() -> None:
    # E[x x^T] = I / 2. From one chunk no damping is chosen, so H + d I = 0.5 * 1.3 I.
    weight, x = np.float32([[0.3, 0.9]]), np.eye(2, dtype=np.float32)
    found = reconstruct(weight, DENSE, sums_of(x, x @ weight.T, chunks=1), GridSpec(3))
    step = float(found.quantized.grid.step)
    error = found.quantized.values - weight
    allowed = found.quantized.codes < 3
    up = np.where(allowed, 0.65 * ((error + step) ** 2 - error**2), np.inf)
    np.testing.assert_allclose(found.up, up, rtol=1e-4)
    np.testing.assert_allclose(found.down, 0.65 * ((error - step) ** 2 - error**2), rtol=1e-4)


@pytest.mark.parametrize(
    ("damping", "positions", "hessian"),
    [
        (3e-5, 8, 0.5 * 1.01),
        (3.0, 8, 0.5 * 2),
        (np.inf, 8, 0.5 * 1.3),  # W itself fits best
        (np.inf, 398, 0.5 * 1.3),  # the same with 199 positions for each column
        (np.inf, 400, 0.5 * 1.01),  # and with 200
        (3.0, 400, 0.5 * 1.01),
    ],
)
def test_rounding_is_damped_at_least_by_a_hundredth_and_at_most_by_one(
    damping: float, positions: int, hessian: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "onnx_evoq.quantize.closed_form.moment_equations.choose_damping", lambda *_, **__: damping
    )
    weight = np.float32([[0.3, 0.9]])
    x = np.tile(np.eye(2, dtype=np.float32), (positions // 2, 1))
    found = reconstruct(weight, DENSE, sums_of(x, 2 * x @ weight.T), GridSpec(8))  # H = I / 2
    # W* = W + (C - W H) / (H + d), with C = 2 W H
    share = 1 / (1 + damping)
    np.testing.assert_allclose(found.best_weight, weight * (1 + share), rtol=1e-5)
    step, error = float(found.quantized.grid.step), found.quantized.values - found.best_weight
    down = hessian * ((error - step) ** 2 - error**2)
    np.testing.assert_allclose(found.down, down, rtol=1e-3)


def test_the_spread_is_the_deviation_of_the_output() -> None:
    x, weight = correlated(300, 12) + 2, random(5, 12, seed=3) / 100
    t = x @ weight.T
    assert t.std(axis=0).max() < 0.2
    found = reconstruct(weight, DENSE, sums_of(x, t, centred=True), GridSpec(8))
    np.testing.assert_allclose(found.spread, t.std(axis=0), rtol=1e-3)


def test_an_input_that_is_always_zero_gets_nearest_rounding() -> None:
    weight = np.float32([[0.3, -0.9, 0.5], [0.1, 0.2, 0.7]])
    zeros = sums_of(np.zeros((20, 3), np.float32), np.zeros((20, 2), np.float32))
    found = reconstruct(weight, DENSE, zeros, GridSpec(8))
    assert (found.quantized.codes == nearest(weight, found.quantized.grid)).all()
    assert not found.bias.any()


def test_a_weight_of_zeros_stays() -> None:
    x = random(40, 3)
    sums = sums_of(x, np.zeros((40, 2)))
    found = reconstruct(np.zeros((2, 3), np.float32), DENSE, sums, GridSpec(4))
    assert not found.quantized.codes.any()


# Behind an activation


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


def activated(y: Floats, activation: Activation) -> Floats:
    below = activation.low + activation.alpha * (y - activation.low)
    return np.minimum(np.where(y < activation.low, below, y), activation.high)


ACTIVATIONS = {"Relu": Activation(), "Clip": Activation(0, 3), "LeakyRelu": Activation(alpha=0.1)}


@pytest.mark.parametrize(
    ("kind", "axis"), [("Relu", None), ("Relu", 0), ("Clip", None), ("LeakyRelu", 0)]
)
def test_outputs_of_the_activation_for_new_inputs_are_kept_better(
    kind: str, axis: int | None
) -> None:
    activation, weight = ACTIVATIONS[kind], random(8, 24, seed=3)
    x = correlated(1200, 24)
    # No weight gives these targets, and the activation hides most of that.
    t = x @ weight.T - (x @ random(24, 8, seed=4)) ** 2 / 8
    samples, spec = samples_of(x[:800], t[:800], activation), GridSpec(3, axis)
    errors = []
    for found in (
        reconstruct(weight, DENSE, samples.sums, spec),
        reconstruct_with_activation(weight, DENSE, samples, spec),
    ):
        y = x[800:] @ found.quantized.values.T + found.bias
        difference = activated(y, activation) - activated(t[800:], activation)
        errors.append(float(np.mean(difference**2)))
    assert errors[1] < 0.95 * errors[0]


@pytest.mark.parametrize(
    ("effort", "bias"),
    [
        (Effort(activation_rounds=0), -7), (Effort(activation_rounds=1), -1), (FULL, 0),
        (Effort(activation_rounds=3), 0.5), (Effort(activation_rounds=4), 0.5),
    ],
)  # fmt: skip
def test_a_bias_behind_relu_worked_by_hand(effort: Effort, bias: float) -> None:
    # Inputs are zero, so only the bias counts: relu(b)^2 + (b - 1)^2 is lowest at 1/2. Targets of
    # -15 and 1 give b = -7; -7 and 1 then give -3; and so on, -1, 0, and 0 and 1 give 1/2. There is
    # one step per round, and one for the codes.
    x, t = np.zeros((40, 1), np.float32), np.resize(np.float32([-15, 1]), (40, 1))
    weight, samples = np.ones((1, 1), np.float32), samples_of(x, t, Activation())
    assert reconstruct(weight, DENSE, samples.sums, GridSpec(4)).bias.tolist() == [-7]
    found = reconstruct_with_activation(weight, DENSE, samples, GridSpec(4), effort)
    assert found.bias.tolist() == [bias]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    "activation", [None, Activation(-100, 100)], ids=["no activation", "nothing hidden"]
)
def test_where_nothing_is_hidden_it_is_plain_reconstruction(
    activation: Activation | None, centred: bool
) -> None:
    x, weight, spec = correlated(400, 12), random(5, 12, seed=3), GridSpec(3, 0, "float")
    samples = samples_of(x, x @ weight.T + random(400, 5, seed=4), activation, centred=centred)
    plain = reconstruct(weight, DENSE, samples.sums, spec)
    found = reconstruct_with_activation(weight, DENSE, samples, spec)
    assert (found.quantized.codes == plain.quantized.codes).all()
    assert (found.quantized.grid.step == plain.quantized.grid.step).all()
    for field in fields(plain)[1:]:
        np.testing.assert_array_equal(getattr(found, field.name), getattr(plain, field.name))


class RecordedSamples(LayerSamples):
    """Samples that record the weights and biases whose targets were asked for."""

    def __init__(self, centred: bool, activation: Activation | None = None) -> None:
        super().__init__(centred, activation)
        self.asked: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def moments_behind_activation(
        self, weight: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> MomentSums:
        self.asked.append((weight, bias))
        return super().moments_behind_activation(weight, bias)


@pytest.mark.parametrize("centred", [True, False])
def test_only_a_layer_with_a_bias_gets_one(centred: bool) -> None:
    x, weight = correlated(400, 12) + 2, random(5, 12, seed=3)
    t = x @ weight.T + 1
    samples = samples_of(x, t, Activation(), centred=centred, kind=RecordedSamples)
    found = reconstruct_with_activation(weight, DENSE, samples, GridSpec(2))
    assert isinstance(samples, RecordedSamples)
    assert [bool(bias.any()) for _, bias in samples.asked] == [centred] * 3  # two rounds, and codes
    assert bool(found.bias.any()) == centred


def test_the_last_targets_follow_from_the_codes() -> None:
    x, weight = correlated(400, 12) + 2, random(5, 12, seed=3)
    samples = samples_of(x, x @ weight.T + 1, Activation(), kind=RecordedSamples)
    found = reconstruct_with_activation(weight, DENSE, samples, GridSpec(2, 0))
    assert isinstance(samples, RecordedSamples)
    *_, (before, bias_before), (values, bias) = samples.asked
    assert len(np.unique(values[0, 0])) <= 4 < len(np.unique(before[0, 0]))  # 2 bits
    sums = samples.moments_behind_activation(before, bias_before)
    first = reconstruct(weight, DENSE, sums, GridSpec(2, 0))
    assert (values[0] == first.quantized.values).all()
    assert (bias[0].astype(np.float32) == first.bias).all()
    last = reconstruct(
        weight, DENSE, samples.moments_behind_activation(values, bias), GridSpec(2, 0)
    )
    np.testing.assert_array_equal(found.best_weight, last.best_weight)
    # The steps are chosen once, and the codes are the best for them.
    assert (found.quantized.grid.step == first.quantized.grid.step).all()
    assert min(found.up.min(), found.down.min()) >= 0
    kept = found.quantized.grid.step == last.quantized.grid.step
    assert kept.any()
    assert (found.quantized.codes == last.quantized.codes)[kept].all()


def test_groups_and_steps_per_channel_are_kept_apart() -> None:
    weight, layer = random(6, 2, 3, 3), Window((3, 3), (1, 1), (1, 1), (1,) * 4, 2)
    matrix, samples = layer.matrix(weight), LayerSamples(True, Activation())
    inputs, spec = [random(2, 200, 18, seed=k) for k in range(3)], GridSpec(3, 0)
    for x in inputs[:2]:
        samples.add(SampleChunk(x, x @ matrix.transpose(0, 2, 1)))
    errors = []
    for found in (
        reconstruct(weight, layer, samples.sums, spec),
        reconstruct_with_activation(weight, layer, samples, spec),
    ):
        values = layer.matrix(found.quantized.values).transpose(0, 2, 1)
        y = inputs[2] @ values + found.bias.reshape(2, 1, 3)
        t = inputs[2] @ matrix.transpose(0, 2, 1)
        errors.append(float(np.mean((np.maximum(y, 0) - np.maximum(t, 0)) ** 2)))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("activation", [None, Activation(0.0, np.inf)])
def test_rows_of_many_widths_are_those_of_each_width(
    activation: Activation | None, scale: Scale
) -> None:
    x, weight, widths = correlated(400, 12), random(5, 12, seed=3), (2, 6, 3, 4, 2)
    samples = LayerSamples(centred=True, activation=activation)
    samples.add(SampleChunk(x[None], (x @ weight.T)[None]))  # one chunk: no choice of the damping
    bits: Bits
    found = {
        bits: reconstruct_with_activation(weight, DENSE, samples, GridSpec(bits, 0, scale))
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


def test_the_damping_is_the_one_that_is_chosen_for_the_samples() -> None:
    x, weight = correlated(400, 12), random(5, 12, seed=3)
    t = x @ weight.T + 3 * x @ random(12, 5, seed=5)
    sums = sums_of(x, t)
    damping = choose_damping(weight[None].astype(np.float64), sums.folds())
    moments, found = sums.moments(), reconstruct(weight, DENSE, sums, GridSpec(8))
    added = damping * np.trace(moments.hessian[0]) / 12 * np.eye(12)
    change = (moments.cross - weight @ moments.hessian)[0] @ np.linalg.inv(
        moments.hessian[0] + added
    )
    assert np.isfinite(damping)
    np.testing.assert_allclose(found.best_weight, weight + change, rtol=1e-3, atol=1e-3)


# Rows side by side


def in_blocks(
    rows: int, monkeypatch: pytest.MonkeyPatch, *, workers: int = 1, seed: int | None = None
) -> LayerReconstruction:
    """A layer of two groups of eight rows, in blocks of so many rows."""
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", rows)
    layer, weight = Window((1, 1), (1, 1), (1, 1), (0,) * 4, 2), random(16, 10, 1, 1, seed=3)
    matrix, samples = layer.matrix(weight), LayerSamples(True)
    for k in range(2):
        x = np.stack([correlated(200, 10, seed=2 * k + group) for group in range(2)])
        samples.add(SampleChunk(x, x @ matrix.transpose(0, 2, 1)))
    rng = None if seed is None else np.random.default_rng(seed)
    effort = Effort(restarts=4)
    spec, executor = GridSpec(3, 0), Threads(workers)
    return reconstruct_with_activation(weight, layer, samples, spec, effort, rng, executor)


def assert_equal(one: LayerReconstruction, other: LayerReconstruction) -> None:
    np.testing.assert_array_equal(one.quantized.codes, other.quantized.codes)
    for field in fields(one)[1:]:
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_rows_in_blocks_have_the_codes_of_all_rows_together(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_equal(in_blocks(rows, monkeypatch), in_blocks(8, monkeypatch))


def test_the_number_of_workers_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = in_blocks(3, monkeypatch, seed=0)
    assert_equal(in_blocks(3, monkeypatch, workers=3, seed=0), one)
    assert (one.quantized.codes != in_blocks(3, monkeypatch).quantized.codes).any()  # by restarts


@pytest.mark.parametrize("few", [False, True])
def test_a_weight_of_two_uses_fits_both_with_a_bias_for_each(few: bool) -> None:
    weight, count = random(3, 6, seed=1), 5 if few else 60
    x = [correlated(count, 6, seed=seed) + shift for seed, shift in ((2, 1.0), (3, -4.0))]
    samples = LayerSamples((True, True), few=few, activations=(None, None))
    for use, columns in enumerate(x):
        targets = (columns @ weight.T + use)[None]
        for half in (slice(0, count // 2), slice(count // 2, None)):
            samples.add(SampleChunk(columns[None, half], targets[:, half], use=use))
    found = reconstruct_with_activation(weight, DENSE, samples, GridSpec(bits=8))
    assert found.bias.shape == (2, 3)
    for use, columns in enumerate(x):
        errors = columns @ (found.quantized.values - weight).T + found.bias[use] - use
        np.testing.assert_allclose(errors.mean(axis=0), 0, atol=1e-5)
    # No codes beside these have less error at both uses together.
    centred = np.concatenate([each - each.mean(axis=0) for each in x])

    def cost(codes: np.ndarray) -> float:
        step = found.quantized.grid.step
        return float(np.square(centred @ (step * codes - weight).T).sum())

    codes = found.quantized.codes.astype(np.float64)
    if not few:
        for index in np.ndindex(codes.shape):
            for move in (-1, 1):
                other = codes.copy()
                other[index] += move
                assert cost(other) > 0.98 * cost(codes)
