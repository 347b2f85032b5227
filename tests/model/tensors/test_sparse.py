"""Sparse tensors become dense."""

import numpy as np
import pytest
from onnx import SparseTensorProto, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors import array_of, dense


def sparse(indices: np.ndarray, dims: list[int]) -> SparseTensorProto:
    tensor = SparseTensorProto(dims=dims)
    tensor.values.CopyFrom(numpy_helper.from_array(np.float32([4, 7]), "s"))
    tensor.indices.CopyFrom(numpy_helper.from_array(indices, "places"))
    return tensor


@pytest.mark.parametrize("indices", [np.array([1, 5]), np.array([[0, 1], [1, 2]])])
def test_values_are_where_the_indices_say(indices: np.ndarray) -> None:
    made = dense(sparse(indices, [2, 3]))
    assert made.name == "s"
    assert array_of(made).tolist() == [[0, 4, 0], [0, 0, 7]]


@pytest.mark.parametrize("indices", [[1, 6], [[0, 1], [2, 2]], [1, 2, 3], [[1], [2]], [[[1]]]])
def test_values_outside_the_shape_are_refused(indices: object) -> None:
    with pytest.raises(
        ModelError, match=r"sparse tensor 's' has values outside its shape \[2, 3\]"
    ):
        dense(sparse(np.array(indices), [2, 3]))


@pytest.mark.parametrize("dims", [[-2, 3], [2**20, 2**20]])
def test_a_shape_that_no_memory_holds_is_refused(dims: list[int]) -> None:
    with pytest.raises(ModelError, match=r"sparse tensor 's' has the shape .*: export it dense"):
        dense(sparse(np.array([1, 5]), dims))
