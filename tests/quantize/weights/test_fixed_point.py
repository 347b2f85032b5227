"""The fixed-point format against hand-worked values and against onnx.reference."""

import numpy as np
import pytest
from graphs import random
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_evoq.quantize import (
    GridSpec,
    QuantizedWeight,
    Scale,
    dequantize,
    fit,
    int_bits,
    nearest,
)
from onnx_evoq.quantize.weights.fixed_point import FixedPoint

scales = st.sampled_from(["pow2", "float"])
axes = st.integers(0, 1)
finite = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def f32(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0.3, -1), (0.5, -1), (0.51, 0), (1.0, 0), (1.0001, 1), (2.0, 1), (3.9, 2), (0.0, 0)],
)
def test_int_bits_is_the_ceiling_of_log2(largest: float, expected: int) -> None:
    assert int_bits(np.array(largest)) == expected


@pytest.mark.parametrize("exponent", range(-120, 121, 7))
def test_int_bits_is_exact_beside_powers_of_two(exponent: int) -> None:
    power = np.float32(2.0**exponent)
    around = np.array([np.nextafter(power, np.float32(0)), power, np.nextafter(power, np.inf)])
    assert int_bits(around).tolist() == [exponent, exponent, exponent + 1]


def test_a_weight_worked_by_hand() -> None:
    # max|x| = 0.9 -> int_bits 0 -> frac_bits 4 - 0 - 1 = 3 -> step 1/8
    weight = f32(0.9, -0.3, 0.0625, -0.0625, 0.1875, -0.9)
    grid = fit(weight, bits=4)
    assert grid.step == 0.125
    assert grid.frac_bits == 3
    # 7.2, -2.4, 0.5, -0.5, 1.5, -7.2 with half to even
    assert nearest(weight, grid).tolist() == [7, -2, 0, 0, 2, -7]
    assert dequantize(nearest(weight, grid), grid).tolist() == [0.875, -0.25, 0, 0, 0.25, -0.875]


def test_a_power_of_two_is_clipped_above_and_not_below() -> None:
    grid = fit(f32(1.0, -1.0), bits=4)
    assert dequantize(nearest(f32(1.0, -1.0), grid), grid).tolist() == [0.875, -1.0]


def test_channels_have_steps_of_their_own() -> None:
    weight = np.array([[0.9, 0.1], [3.0, 1.0]], np.float32)
    assert fit(weight, bits=4, axis=0).step.tolist() == [0.125, 0.5]
    assert fit(weight, bits=4, axis=1).step.tolist() == [0.5, 0.125]  # maxima 3.0 and 1.0
    assert fit(weight, bits=4, axis=0).frac_bits == [3, 1]


def test_a_float_step_reaches_the_maximum_with_the_largest_code() -> None:
    weight = f32(0.7, -0.21)
    grid = fit(weight, bits=4, scale="float")
    assert grid.step == np.float32(0.7 / 7)
    assert grid.frac_bits is None
    assert nearest(weight, grid).tolist() == [7, -2]


def test_a_weight_of_zeros_has_the_step_of_a_maximum_of_one() -> None:
    zeros = np.zeros((2, 3), np.float32)
    assert fit(zeros, bits=4).step == 0.125
    assert fit(zeros, bits=4, scale="float").step == np.float32(1 / 7)


def test_channels_have_widths_of_their_own() -> None:
    # maxima 0.9 and 3.0: int_bits 0 and 2, frac_bits 4 - 0 - 1 = 3 and 2 - 2 - 1 = -1
    weight = np.array([[0.9, 0.1, -0.9], [3.0, 1.0, -9.0]], np.float32)
    grid = fit(weight[:, :2], (4, 2), axis=0)
    assert grid.frac_bits == [3, -1]
    assert grid.step.tolist() == [0.125, 2.0]
    # 7.2, 0.8, -7.2 in [-8, 7] and 1.5, 0.5, -4.5 in [-2, 1]
    assert nearest(weight, grid).tolist() == [[7, 1, -7], [1, 0, -2]]
    assert grid.widest == 4


def test_float_steps_divide_the_range_of_each_channel_by_its_largest_code() -> None:
    grid = fit(np.array([[0.7, 3.0]], np.float32), (4, 2), axis=1, scale="float")
    assert grid.step.tolist() == [np.float32(0.7 / 7), np.float32(3.0)]


@settings(max_examples=30)
@given(weight=arrays.arrays(np.float32, (3, 4), elements=finite), scale=scales, axis=axes)
def test_a_channel_is_rounded_as_if_all_had_its_width(
    weight: NDArray[np.float32], scale: Scale, axis: int
) -> None:
    widths = (2, 5, 3, 8)[: weight.shape[axis]]
    mixed = nearest(weight, fit(weight, widths, axis, scale))
    for channel, bits in enumerate(widths):
        grid = fit(weight, bits, axis, scale)
        one = nearest(weight, grid)
        assert (mixed.take(channel, axis) == one.take(channel, axis)).all()
        assert fit(weight, widths, axis, scale).step[channel] == grid.step[channel]


def test_equal_widths_are_the_grid_of_one_width() -> None:
    weight = random(3, 5)
    mixed, one = fit(weight, (4, 4, 4), axis=0), fit(weight, 4, axis=0)
    assert (mixed.step == one.step).all()
    assert (nearest(weight, mixed) == nearest(weight, one)).all()


def test_limits_lie_along_the_channels() -> None:
    low, high = FixedPoint((2, 4), f32(1, 1), axis=1).limits_for(3)
    assert np.shape(low) == np.shape(high) == (1, 2, 1)
    assert np.ravel(low).tolist() == [-2, -8]
    assert np.ravel(high).tolist() == [1, 7]
    assert FixedPoint(4, f32(1, 1), axis=1).limits_for(3) == (-8, 7)


@pytest.mark.parametrize(("channels", "axis"), [(2, 0), (1, None), (4, 0)])
def test_widths_that_are_not_one_per_channel_are_refused(channels: int, axis: int | None) -> None:
    with pytest.raises(ValueError, match=f"3 widths for {channels} steps along axis {axis}: give"):
        FixedPoint((2, 3, 4), np.ones(channels, np.float32), axis)


def test_widths_per_channel_need_an_axis() -> None:
    with pytest.raises(ValueError, match="along axis None: give a channel axis"):
        fit(random(3, 5), (2, 3, 4))


def test_a_spec_fits_the_grid_of_its_choices() -> None:
    weight = np.array([[0.7, 3.0], [60000.0, 1.0]], np.float32)
    for choices in ((4,), ((4, 2), 1, "float"), (3, None, "pow2", "float16"), (3, 0)):
        ours, theirs = GridSpec(*choices).fit(weight), fit(weight, *choices)  # type: ignore[arg-type]
        assert (ours.step == theirs.step).all()
        assert (ours.bits, ours.axis) == (theirs.bits, theirs.axis)


def test_the_values_of_a_quantized_weight_are_its_codes_times_their_steps() -> None:
    codes = np.array([[2, -7], [1, 3]], np.int8)
    weight = QuantizedWeight(codes, FixedPoint(4, f32(0.5, 0.25), axis=0))
    assert weight.values.tolist() == [[1, -3.5], [0.25, 0.75]]
    assert weight.values.dtype == np.float32


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_fill_the_signed_range(bits: int) -> None:
    grid = FixedPoint(bits, np.float32(1))
    assert (grid.low, grid.high) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    assert nearest(f32(-1e9, 1e9), grid).tolist() == [grid.low, grid.high]


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize(
    "weight",
    [
        np.zeros((3, 4), np.float32),
        np.full((3, 4), 0.7, np.float32),
        np.float32(0.3),
        np.full((1, 2), -5.0, np.float32),
        np.full((2, 2), 1e-44, np.float32),  # subnormal
        np.full((2, 2), 1.5e38, np.float32),
        np.array([[0.0, 0.0], [1.0, 2.0]], np.float32),  # a channel of zeros
    ],
)
def test_odd_weights_stay_near_themselves(weight: NDArray[np.float32], scale: str) -> None:
    for axis in (None, 0) if weight.ndim else (None,):
        grid = fit(weight, 8, axis, scale)  # type: ignore[arg-type]
        back = dequantize(nearest(weight, grid), grid)
        assert back.shape == weight.shape
        assert np.isfinite(back).all()
        # half a step, or the whole one where a maximum that is a power of two is clipped
        assert (np.abs(back - weight) <= grid.steps_for(weight.ndim)).all()


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("bits", [2, 8])
def test_no_code_stands_for_infinity(bits: int, dtype: str, scale: str) -> None:
    largest = np.finfo(dtype).max
    grid = fit(np.array([largest, -largest], np.float32), bits, None, scale, dtype)  # type: ignore[arg-type]
    ends = dequantize(np.array([grid.low, grid.high], np.int8), grid)
    assert np.isfinite(ends.astype(dtype)).all()
    assert np.abs(ends).max() >= largest / 2.1


@settings(max_examples=30)
@given(
    weight=arrays.arrays(np.float32, (3, 5), elements=finite),
    bits=st.integers(2, 8),
    axis=st.sampled_from([None, 0, 1]),
)
def test_no_code_is_nearer_than_the_nearest(
    weight: NDArray[np.float32], bits: int, axis: int | None
) -> None:
    grid = fit(weight, bits, axis)
    codes = nearest(weight, grid)
    assert grid.low <= codes.min() <= codes.max() <= grid.high
    steps = grid.steps_for(2).astype(np.float64)
    error = np.abs(codes * steps - weight)
    for move in (-1, 1):
        other = np.clip(codes.astype(int) + move, grid.low, grid.high)
        assert (error <= np.abs(other * steps - weight)).all()


@settings(max_examples=30)
@given(weight=arrays.arrays(np.float32, (4, 3), elements=finite), bits=st.integers(2, 8))
def test_rounding_twice_changes_nothing(weight: NDArray[np.float32], bits: int) -> None:
    grid = fit(weight, bits)
    codes = nearest(weight, grid)
    assert (nearest(dequantize(codes, grid), grid) == codes).all()


@pytest.mark.parametrize(
    ("bits", "kind"), [(8, TensorProto.INT8), (4, TensorProto.INT4), (2, TensorProto.INT2)]
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_nearest_is_what_quantize_linear_gives(bits: int, kind: int, axis: int | None) -> None:
    weight = random(6, 10, seed=bits)
    weight[0, :4] = [0.0625, -0.0625, 0.1875, -0.1875]  # ties at many a step
    grid = fit(weight, bits, axis)
    zero_point = helper.make_tensor("z", kind, grid.step.shape, [0] * grid.step.size)
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=axis or 0)
    graph = helper.make_graph(
        [node, helper.make_node("Cast", ["y"], ["codes"], to=TensorProto.INT8)],
        "quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, weight.shape)],
        [helper.make_tensor_value_info("codes", TensorProto.INT8, weight.shape)],
        [numpy_helper.from_array(grid.step, "s"), zero_point],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])
    (expected,) = ReferenceEvaluator(model).run(None, {"x": weight})
    assert (nearest(weight, grid) == expected).all()


@pytest.mark.parametrize(("bits", "low"), [(8, -127), (7, -64), (2, -2)])
def test_a_narrow_range_leaves_out_the_lowest_code_of_8_bits(bits: int, low: int) -> None:
    grid = GridSpec(bits, narrow=True).fit(f32(-1.0, 0.5))
    assert (grid.low, grid.high) == (low, 2 ** (bits - 1) - 1)
    assert nearest(f32(-1e9), grid).tolist() == [low]


def test_a_narrow_range_holds_for_each_width_of_channels() -> None:
    grid = FixedPoint((8, 4), f32(1.0, 1.0), axis=0, narrow=True)
    assert np.asarray(grid.low).tolist() == [-127, -8]


@pytest.mark.parametrize("scale", ["pow2", "float"])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("bits", [3, (3, 5, 4)])
def test_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, scale: Scale, axis: int | None, bits: int | tuple[int, ...]
) -> None:
    weight = random(3, 3, 2)
    if axis is None:
        bits = 3
    whole = fit(weight, bits, axis, scale)
    codes = nearest(weight, whole)
    monkeypatch.setattr("onnx_evoq.array_blocks._BLOCK", 1)
    grid = fit(weight, bits, axis, scale)
    np.testing.assert_array_equal(grid.step, whole.step)
    np.testing.assert_array_equal(nearest(weight, grid), codes)
    parts = [block for _, block in QuantizedWeight(codes, grid).value_blocks()]
    assert len(parts) == 3
    np.testing.assert_array_equal(np.concatenate(parts), dequantize(codes, whole))


def test_single_precision_rounds_powers_of_two_as_double_precision_does() -> None:
    weight = random(200, 9)
    for exponent in (-140, -126, -30, 0, 40, 120):  # numbers of all sizes, the smallest ones too
        scaled = np.ldexp(weight, exponent).astype(np.float32)
        grid = fit(scaled, 4, 0)
        exact = scaled.astype(np.float64) / grid.steps_for(2)
        np.testing.assert_array_equal(nearest(scaled, grid), np.clip(np.rint(exact), -8, 7))
