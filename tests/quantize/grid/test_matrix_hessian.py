"""The Hessian as a matrix, and its Cholesky factor, by hand and by their definitions."""

import numpy as np
import pytest
from layer_problems import problem, random_codes

from onnx_evoq.quantize.grid.matrix_hessian import FactoredHessian, cholesky


def test_the_factor_sorts_columns_by_their_diagonal() -> None:
    # Sorted, H = [[1, 1.8], [1.8, 4]] = R^T R with R = [[1, 1.8], [0, 0.87]].
    factor = FactoredHessian(np.array([[[4.0, 1.8], [1.8, 1.0]]])).factor
    assert factor.order.tolist() == [[1, 0]]
    np.testing.assert_allclose(factor.lower, [[[1, 0], [1.8, 1]]], atol=1e-12)
    np.testing.assert_allclose(factor.pivots, [[1, 0.76]], atol=1e-12)


def test_columns_with_the_same_diagonal_keep_their_order() -> None:
    assert FactoredHessian(np.eye(40)[None]).factor.order.tolist() == [list(range(40))]


@pytest.mark.parametrize("columns", [6, 300])
def test_the_sorted_hessian_is_the_factor_times_the_pivots_times_the_factor(columns: int) -> None:
    _, hessian, _ = problem((2, 1, columns))
    factor = hessian.factor
    for matrix, order, pivots, lower in zip(
        hessian.matrix, factor.order, factor.pivots, factor.lower, strict=True
    ):
        product = (lower * pivots) @ lower.T
        np.testing.assert_allclose(product, matrix[np.ix_(order, order)], atol=1e-5 * columns)
        assert (np.diag(lower) == 1).all()
        assert (np.triu(lower, 1) == 0).all()


@pytest.mark.parametrize("columns", [3, 256, 257, 400])
def test_the_factor_of_many_columns_is_that_of_numpy(columns: int) -> None:
    matrix = problem((1, 1, columns))[1].matrix[0]
    np.testing.assert_allclose(cholesky(matrix.copy()), np.linalg.cholesky(matrix), atol=1e-9)


@pytest.mark.parametrize(("columns", "dtype"), [(256, np.float64), (257, np.float32)])
def test_many_columns_are_multiplied_in_float32(columns: int, dtype: type) -> None:
    hessian = FactoredHessian(np.eye(columns)[None])
    assert hessian.times(np.ones((1, 2, columns))).dtype == dtype
    assert hessian.factor.lower.dtype == dtype


def test_blocks_of_the_gradient_follow_the_errors() -> None:
    _, hessian, _ = problem((2, 3, 7))
    error = random_codes((2, 3, 7)).copy()
    gradient = hessian.gradient(error.copy())
    gradient.add(np.ones((2, 3, 2)), 1, 3)
    error[:, :, 1:3] += 1
    expected = error @ hessian.matrix
    np.testing.assert_allclose(hessian.times(error), expected, rtol=1e-9)
    np.testing.assert_allclose(gradient.block(2, 6), expected[:, :, 2:6], rtol=1e-9)
    assert (hessian.block(2, 6) == hessian.matrix[:, 2:6, 2:6]).all()


def test_each_row_has_the_hessian_between_its_own_columns() -> None:
    _, hessian, _ = problem((2, 1, 5))
    between = hessian.between(np.array([1, 0]), np.array([[0, 3], [4, 4]]))
    assert (between[0] == hessian.matrix[1][np.ix_([0, 3], [0, 3])]).all()
    assert (between[1] == hessian.matrix[0, 4, 4]).all()


def test_the_factor_is_computed_once() -> None:
    hessian = FactoredHessian(np.eye(2)[None])
    assert hessian.factor is hessian.factor


def test_the_diagonal_is_that_of_each_group() -> None:
    hessian = FactoredHessian(np.stack([np.diag([1.0, 2]), np.full((2, 2), 3.0)]))
    assert hessian.diagonal.tolist() == [[1, 2], [3, 3]]


@pytest.mark.parametrize("columns", [5, 300])
def test_damping_that_is_given_beside_the_matrix_acts_as_if_it_were_in_it(columns: int) -> None:
    matrix, added = problem((2, 1, columns))[1].matrix, np.array([0.5, 2.0])
    beside = FactoredHessian(matrix, added)
    within = FactoredHessian(matrix + added[:, None, None] * np.eye(columns))
    error = random_codes((2, 3, columns))
    assert (beside.diagonal == within.diagonal).all()
    assert (beside.times(error) == within.times(error)).all()
    assert (beside.block(1, 4) == within.block(1, 4)).all()
    assert (beside.factor.order == within.factor.order).all()
    assert (beside.factor.lower == within.factor.lower).all()
    assert (beside.factor.pivots == within.factor.pivots).all()
