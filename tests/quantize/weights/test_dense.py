"""Matrix products as matrices against what NumPy computes."""

import numpy as np
import pytest
from graphs import random
from linears import output_of, same

from onnx_evoq.quantize import Dense


@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_is_its_matrix_times_its_columns(turned: int) -> None:
    x, weight = random(6, 4), random(*((3, 4) if turned else (4, 3)), seed=1)
    y = output_of("Gemm", x, weight, transB=turned)
    assert same(Dense("...k,nk->...n" if turned else "...k,kn->...n"), weight, x, y)


@pytest.mark.parametrize("batch", [(6,), (2, 5), (2, 3, 4), ()])
def test_a_matmul_with_its_weight_on_the_right(batch: tuple[int, ...]) -> None:
    x, weight = random(*batch, 4), random(4, 3, seed=1)
    assert same(Dense("...k,kn->...n"), weight, x, output_of("MatMul", x, weight))


@pytest.mark.parametrize("batch", [(2,), (2, 3), ()])
def test_a_matmul_with_its_weight_on_the_left(batch: tuple[int, ...]) -> None:
    x, weight = random(*batch, 4, 5), random(3, 4, seed=1)
    y = output_of("MatMul", weight, x)
    assert same(Dense("...kn,mk->...mn"), weight, x, y)


@pytest.mark.parametrize("x", [(5, 2, 6, 4), (5, 1, 6, 4), (2, 6, 4), (6, 4)], ids=str)
def test_a_matmul_with_a_matrix_for_each_head(x: tuple[int, ...]) -> None:
    values, weight = random(*x), random(2, 4, 3, seed=1)
    layer, y = Dense("...hmk,hkn->...hmn"), output_of("MatMul", values, weight)
    assert layer.matrix(weight).shape == (2, 3, 4)
    assert same(layer, weight, values, y)
    assert layer.output_shape(x, weight.shape) == y.shape


@pytest.mark.parametrize("x", [(5, 2, 4, 6), (5, 1, 4, 6), (2, 4, 6), (4, 6)], ids=str)
def test_a_matmul_with_a_matrix_for_each_head_on_the_left(x: tuple[int, ...]) -> None:
    values, weight = random(*x), random(2, 3, 4, seed=1)
    y = output_of("MatMul", weight, values)
    assert same(Dense("...hkn,hmk->...hmn"), weight, values, y)


@pytest.mark.parametrize(
    ("equation", "x", "weight", "matrix"),
    [
        ("bij,jk->bik", (2, 5, 4), (4, 3), (1, 3, 4)),
        ("bhqd,hdk->bhqk", (2, 3, 5, 4), (3, 4, 6), (3, 6, 4)),
        ("bsd,dhk->bhsk", (2, 5, 4), (4, 3, 6), (1, 18, 4)),
        ("bhsk,hkd->bsd", (2, 3, 5, 6), (3, 6, 4), (1, 4, 18)),
        ("ij,bjk->bik", (5, 4), (2, 4, 3), (1, 6, 4)),
        ("sbk,kn->bsn", (5, 2, 4), (4, 3), (1, 3, 4)),
        ("...d,ed->...e", (2, 5, 4), (3, 4), (1, 3, 4)),
        ("n...k,kh->h...n", (2, 5, 4), (4, 3), (1, 3, 4)),
        ("bk,zk->b", (5, 4), (1, 4), (1, 1, 4)),
        ("bcd,cd->b", (5, 2, 4), (2, 4), (1, 1, 8)),
        ("bgk,gnk->bgn", (2, 5, 4), (5, 3, 4), (5, 3, 4)),
    ],
)
def test_any_product_of_an_equation(
    equation: str, x: tuple[int, ...], weight: tuple[int, ...], matrix: tuple[int, ...]
) -> None:
    values, of_weight = random(*x), random(*weight, seed=1)
    layer, y = Dense(equation), np.einsum(equation, values, of_weight)
    assert layer.matrix(of_weight).shape == matrix
    assert same(layer, of_weight, values, y)
    assert layer.output_shape(x, weight) == y.shape
    np.testing.assert_array_equal(layer.weight(layer.matrix(of_weight), weight), of_weight)


def test_a_scale_multiplies_the_columns() -> None:
    x, weight = random(6, 4), random(4, 3, seed=1)
    y = output_of("Gemm", x, weight, alpha=0.5)
    assert same(Dense("...k,kn->...n", 0.5), weight, x, y)


@pytest.mark.parametrize(
    ("equation", "weight", "expected"),
    [
        ("...k,kn->...n", (4, 3), (3,)),
        ("...kn,mk->...mn", (3, 4), (3, 1)),
        ("...hmk,hkn->...hmn", (2, 4, 3), (2, 1, 3)),
        ("bsd,dhk->bshk", (4, 2, 3), (2, 3)),
        ("bsd,dhk->bhsk", (4, 2, 3), (2, 1, 3)),
        ("...k,k->...", (4,), ()),
        ("bmk,kn->nbm", (4, 3), (3, 1, 1)),
        ("...mk,kn->n...m", (4, 3), None),  # in front of axes of an unknown number
        ("bhmk,hkn->bnmh", (2, 4, 3), None),  # rows come before groups
    ],
)
def test_the_shape_of_a_bias_spreads_over_the_positions(
    equation: str, weight: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    assert Dense(equation).bias_shape(weight) == expected


def test_a_bias_of_that_shape_has_a_value_for_each_row() -> None:
    layer, weight = Dense("bsd,dhk->bhsk"), random(4, 2, 3)
    shape = layer.bias_shape(weight.shape)
    assert shape is not None
    bias, y = random(*shape), np.zeros((5, 2, 6, 3))
    np.testing.assert_allclose(
        layer.outputs(y + bias, np.arange(6))[0], np.tile(bias.ravel(), (30, 1)), rtol=1e-6
    )
