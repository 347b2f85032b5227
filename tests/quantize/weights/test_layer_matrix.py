"""Layers as matrices against onnx.reference."""

import numpy as np
import pytest
from graphs import random, run
from numpy.typing import NDArray
from onnx import TensorProto, helper

from onnx_evoq.quantize import Dense, Linear, Window

Floats = NDArray[np.float32]


def output_of(op: str, left: Floats, right: Floats, **attributes: object) -> Floats:
    """The output of an operator for its two inputs."""
    names = ["left", "right"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
        for name, value in zip(names, (left, right), strict=True)
    ]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(op, names, ["y"], **attributes)
    graph = helper.make_graph([node], "one", inputs, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return run(model, {"left": left, "right": right})["y"]


def same(layer: Linear, weight: Floats, x: Floats, y: Floats) -> bool:
    """Whether the matrix times the columns is the output, at every position."""
    at = np.arange(layer.positions(y.shape))
    product = layer.columns(x, at, y.shape) @ layer.matrix(weight).transpose(0, 2, 1)
    outputs = layer.outputs(y, at)
    assert outputs.size == y.size
    return product.shape == outputs.shape and np.allclose(product, outputs, atol=1e-5)


CONVS = {  # kernel, strides, dilations, pads, groups
    "1d": ((3,), (1,), (1,), (0, 0), 1),
    "1d, all": ((3,), (2,), (2,), (2, 1), 2),
    "2d": ((3, 3), (1, 1), (1, 1), (0, 0, 0, 0), 1),
    "1 x 1": ((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1),
    "strides": ((3, 2), (2, 3), (1, 1), (0, 0, 0, 0), 1),
    "dilations": ((3, 2), (1, 1), (2, 3), (0, 0, 0, 0), 1),
    "pads": ((3, 3), (1, 1), (1, 1), (0, 1, 2, 1), 1),
    "groups": ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 2),
    "depthwise": ((3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 4),
    "all": ((3, 2), (2, 1), (1, 2), (1, 0, 1, 2), 2),
    "3d": ((2, 3, 2), (1, 2, 1), (1, 1, 2), (1, 0, 0, 1, 1, 0), 1),
}


@pytest.mark.parametrize("case", CONVS)
def test_a_conv_is_its_matrix_times_its_columns(case: str) -> None:
    kernel, strides, dilations, pads, groups = CONVS[case]
    x = random(2, 4, *(9, 8, 7)[: len(kernel)])
    weight = random(8, 4 // groups, *kernel, seed=1)
    y = output_of(
        "Conv", x, weight, strides=strides, dilations=dilations, pads=pads, group=groups
    )  # fmt: skip
    assert same(Window(kernel, strides, dilations, pads, groups), weight, x, y)


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("size", [(7, 8), (8, 9), (6, 6)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_a_conv_that_pads_by_itself(
    padding: str, size: tuple[int, int], strides: tuple[int, int]
) -> None:
    x, weight = random(2, 3, *size), random(5, 3, 3, 2, seed=1)
    y = output_of("Conv", x, weight, strides=strides, auto_pad=padding)
    assert y.shape[2:] == tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    layer = Window((3, 2), strides, (1, 1), None, pad_before=padding == "SAME_LOWER")
    assert same(layer, weight, x, y)


def test_a_conv_that_pads_nothing() -> None:
    x, weight = random(2, 3, 7, 8), random(5, 3, 3, 2, seed=1)
    y = output_of("Conv", x, weight, strides=(2, 2), auto_pad="VALID")
    assert same(Window((3, 2), (2, 2), (1, 1), (0,) * 4), weight, x, y)


def test_the_odd_padding_goes_behind_or_before() -> None:
    # Two windows of two over three values: one zero is missing.
    x, y = np.array([[[1, 2, 3]]], np.float32), (1, 1, 2)
    behind = Window((2,), (2,), (1,), None).columns(x, np.arange(2), y)
    before = Window((2,), (2,), (1,), None, pad_before=True).columns(x, np.arange(2), y)
    assert behind.tolist() == [[[1, 2], [3, 0]]]
    assert before.tolist() == [[[0, 1], [2, 3]]]


TRANSPOSED = {  # kernel, strides, dilations, pads, output_padding, groups
    "1d": ((3,), (1,), (1,), (0, 0), (0,), 1),
    "2d": ((3, 3), (1, 1), (1, 1), (0, 0, 0, 0), (0, 0), 1),
    "strides": ((3, 2), (2, 3), (1, 1), (0, 0, 0, 0), (0, 0), 1),
    "pads": ((3, 3), (1, 1), (1, 1), (0, 1, 2, 1), (0, 0), 1),
    "output padding": ((3, 3), (2, 2), (1, 1), (1, 1, 1, 1), (1, 0), 1),
    "dilations": ((3, 2), (1, 1), (2, 3), (0, 0, 0, 0), (0, 0), 1),
    "groups": ((3, 3), (2, 1), (1, 1), (1, 1, 1, 1), (0, 0), 2),
    "all": ((3, 2), (2, 3), (2, 1), (1, 0, 0, 1), (1, 1), 2),
}


@pytest.mark.parametrize("case", TRANSPOSED)
def test_a_transposed_conv_is_its_matrix_times_its_columns(case: str) -> None:
    kernel, strides, dilations, pads, more, groups = TRANSPOSED[case]
    x = random(2, 4, *(5, 4)[: len(kernel)])
    weight = random(4, 6 // groups, *kernel, seed=1)
    # The reference knows no groups there: each on its own.
    parts = zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True)
    options = {"strides": strides, "dilations": dilations, "pads": pads, "output_padding": more}
    y = np.concatenate([output_of("ConvTranspose", *part, **options) for part in parts], axis=1)
    layer = Window(kernel, strides, dilations, pads, groups, transposed=True)
    assert same(layer, weight, x, y)


@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_is_its_matrix_times_its_columns(turned: int) -> None:
    x, weight = random(6, 4), random(*((3, 4) if turned else (4, 3)), seed=1)
    y = output_of("Gemm", x, weight, transB=turned)
    assert same(Dense(transposed=not turned), weight, x, y)


@pytest.mark.parametrize("batch", [(6,), (2, 5), (2, 3, 4)])
def test_a_matmul_with_its_weight_on_the_right(batch: tuple[int, ...]) -> None:
    x, weight = random(*batch, 4), random(4, 3, seed=1)
    assert same(Dense(transposed=True), weight, x, output_of("MatMul", x, weight))


@pytest.mark.parametrize("batch", [(2,), (2, 3)])
def test_a_matmul_with_its_weight_on_the_left(batch: tuple[int, ...]) -> None:
    x, weight = random(*batch, 4, 5), random(3, 4, seed=1)
    y = output_of("MatMul", weight, x)
    assert same(Dense(transposed=False, left=True), weight, x, y)


LAYERS = {
    "conv": (Window((3, 2), (1, 1), (1, 1), (0,) * 4), (6, 4, 3, 2)),
    "grouped": (Window((3, 2), (1, 1), (1, 1), (0,) * 4, 2), (6, 4, 3, 2)),
    "transposed": (Window((3, 2), (2, 2), (1, 1), (0,) * 4, transposed=True), (6, 4, 3, 2)),
    "both": (Window((3, 2), (2, 2), (1, 1), (0,) * 4, 3, transposed=True), (6, 4, 3, 2)),
    "gemm": (Dense(transposed=False), (6, 4)),
    "matmul": (Dense(transposed=True), (6, 4)),
}


@pytest.mark.parametrize("case", LAYERS)
def test_a_weight_comes_back_from_its_matrix(case: str) -> None:
    layer, shape = LAYERS[case]
    weight = random(*shape)
    again = layer.weight(layer.matrix(weight), shape)
    assert np.array_equal(again, weight)
    assert again.flags.c_contiguous


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("conv", (1, 6, 24)),  # (groups, rows, columns)
        ("grouped", (2, 3, 24)),
        ("transposed", (1, 4, 36)),
        ("both", (3, 4, 12)),
        ("gemm", (1, 6, 4)),
        ("matmul", (1, 4, 6)),
    ],
)
def test_a_matrix_has_a_row_for_each_output_channel(
    case: str, expected: tuple[int, int, int]
) -> None:
    layer, shape = LAYERS[case]
    assert layer.matrix(random(*shape)).shape == expected


@pytest.mark.parametrize(("case", "taps"), [("conv", 6), ("both", 6), ("gemm", 1)])
def test_each_input_channel_has_a_column_for_each_tap(case: str, taps: int) -> None:
    assert LAYERS[case][0].taps == taps


@pytest.mark.parametrize(
    ("layer", "output", "expected"),
    [
        (Window((3, 3), (1, 1), (1, 1), (0,) * 4), (2, 8, 5, 6), 30),
        (Dense(transposed=True), (2, 8), 1),
        (Dense(transposed=True), (2, 5, 8), 5),
        (Dense(transposed=True, left=True), (2, 8, 5), 5),
    ],
)
def test_positions_are_those_of_one_sample(
    layer: Linear, output: tuple[int, ...], expected: int
) -> None:
    assert layer.positions(output) == expected


@pytest.mark.parametrize(
    ("layer", "rank", "expected"),
    [
        (Dense(transposed=True), 2, True),
        (Dense(transposed=True), 1, False),
        (Dense(transposed=False, left=True), 3, True),
        (Dense(transposed=False, left=True), 2, False),
        (Window((3, 3), (1, 1), (1, 1), (0,) * 4), 4, True),
        (Window((3, 3), (1, 1), (1, 1), (0,) * 4), 3, False),
    ],
)
def test_an_input_of_low_rank_has_no_axis_of_samples(
    layer: Linear, rank: int, expected: bool
) -> None:
    assert layer.has_samples((5,) * rank) is expected


@pytest.mark.parametrize(
    ("layer", "x", "y"),
    [
        (Window((3, 3), (2, 2), (1, 1), (1,) * 4, 2), (2, 4, 7, 6), (2, 6, 4, 3)),
        (Dense(transposed=True), (2, 5, 4), (2, 5, 3)),
        (Dense(transposed=False, left=True), (2, 4, 5), (2, 3, 5)),
    ],
)
def test_some_positions_are_those_rows_of_all(
    layer: Linear, x: tuple[int, ...], y: tuple[int, ...]
) -> None:
    every, some = np.arange(layer.positions(y)), np.array([3, 1])
    for of in (
        lambda at: layer.columns(random(*x), at, y),
        lambda at: layer.outputs(random(*y), at),
    ):
        whole = of(every)
        by_sample = whole.reshape(len(whole), 2, len(every), -1)[:, :, some]
        assert np.array_equal(of(some), by_sample.reshape(len(whole), 2 * len(some), -1))


def test_columns_are_float32_whatever_the_input() -> None:
    x = random(2, 4, 5, 5, dtype="float16")
    layer = Window((3, 3), (1, 1), (1, 1), (0,) * 4)
    assert layer.columns(x, np.arange(9), (2, 8, 3, 3)).dtype == np.float32
