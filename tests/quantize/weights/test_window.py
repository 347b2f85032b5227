"""Convolutions as matrices against onnx.reference."""

import numpy as np
import pytest
from graphs import random
from linears import output_of, same

from onnx_evoq.quantize import Window

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


@pytest.mark.parametrize("case", [*CONVS, *TRANSPOSED])
def test_the_shape_of_the_output_follows_from_that_of_the_input(case: str) -> None:
    kind = "ConvTranspose" if case in TRANSPOSED else "Conv"
    kernel, strides, dilations, pads, *more = (TRANSPOSED if case in TRANSPOSED else CONVS)[case]
    x, shape = random(2, 4, *(9, 8, 7)[: len(kernel)]), (4, 4, *kernel)
    options = {"strides": strides, "dilations": dilations, "pads": pads}
    if case in TRANSPOSED:
        options["output_padding"] = more[0]
    layer = Window(
        kernel, strides, dilations, pads, transposed=case in TRANSPOSED,
        output_padding=tuple(options.get("output_padding", ())),
    )  # fmt: skip
    assert layer.output_shape(x.shape, shape) == output_of(kind, x, random(*shape), **options).shape


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER"])
def test_a_conv_that_pads_by_itself_has_an_output_of_that_shape(padding: str) -> None:
    x, weight = random(2, 3, 7, 8), random(5, 3, 3, 2)
    y = output_of("Conv", x, weight, strides=(2, 3), auto_pad=padding)
    assert Window((3, 2), (2, 3), (1, 1), None).output_shape(x.shape, weight.shape) == y.shape
