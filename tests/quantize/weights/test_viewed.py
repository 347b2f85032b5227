"""Layers that read their weight through a Transpose or a Reshape."""

import numpy as np
import pytest
from graphs import random
from linears import output_of, same

from onnx_evoq.quantize import Dense, View, Viewed, Window

TURNED = Viewed(Dense("...k,kn->...n"), (View((1, 0), (4, 3)),))


def test_a_matrix_behind_a_transpose() -> None:
    x, weight = random(6, 4), random(3, 4, seed=1)
    y = output_of("MatMul", x, np.ascontiguousarray(weight.T))
    assert same(TURNED, weight, x, y)
    assert TURNED.output_shape(x.shape, weight.shape) == y.shape
    assert TURNED.bias_shape(weight.shape) == (3,)
    assert TURNED.fits(x.shape, y.shape, weight.shape)
    assert not TURNED.fits((6, 3), y.shape, weight.shape)


@pytest.mark.parametrize("group", [1, 2])
def test_a_kernel_behind_a_transpose_and_a_reshape(group: int) -> None:
    x, weight = random(2, 4, 7), random(3, 4 // group, 8, seed=1)  # taps, inputs, outputs
    views = (View((2, 1, 0), (8, 4 // group, 3)), View((0, 1, 2), (8, 4 // group, 3)))
    kernel = np.ascontiguousarray(weight.transpose(2, 1, 0))
    layer = Viewed(Window((3,), (1,), (1,), (0, 0), group), views)
    assert same(layer, weight, x, output_of("Conv", x, kernel, group=group))
    assert layer.taps == 3
    assert layer.has_samples((2, 8, 5))


@pytest.mark.parametrize(
    "views",
    [
        (View((1, 0), (6, 4)),),
        (View((0, 1), (2, 2, 6)), View((2, 0, 1), (6, 4))),
        (View((0, 1), (6, 4)), View((1, 0), (4, 6)), View((1, 0), (6, 4))),
    ],
)
def test_a_weight_comes_back_from_its_matrix(views: tuple[View, ...]) -> None:
    layer, weight = Viewed(Dense("...k,kn->...n"), views), random(4, 6)
    assert layer.matrix(weight).shape == (1, 4, 6)
    again = layer.weight(layer.matrix(weight), weight.shape)
    np.testing.assert_array_equal(again, weight)
    assert again.flags.c_contiguous
