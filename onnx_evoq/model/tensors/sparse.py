"""Sparse tensors, which hold some values and where they are."""

import math

import numpy as np
from onnx import SparseTensorProto, TensorProto, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors.values import array_of

_MOST_BYTES = 2**31 - 1  # of the dense tensor


def dense(sparse: SparseTensorProto) -> TensorProto:
    """The tensor that is 0 where a sparse one holds no value.

    Raises:
        ModelError: it holds values outside its shape, or is too large for memory.
    """
    name, dims = sparse.values.name, tuple(sparse.dims)
    values = array_of(sparse.values)
    indices = array_of(sparse.indices)  # (values,) or (values, axes)
    if min(dims, default=0) < 0 or math.prod(dims) * values.itemsize > _MOST_BYTES:
        raise ModelError(f"the sparse tensor {name!r} has the shape {list(dims)}: export it dense.")
    full = np.zeros(dims, values.dtype)
    ends = full.size if indices.ndim == 1 else dims
    fits = indices.shape in ((values.size,), (values.size, len(dims))) and values.ndim == 1
    if not fits or indices.dtype.kind != "i" or not ((indices >= 0) & (indices < ends)).all():
        raise ModelError(
            f"the sparse tensor {name!r} has values outside its shape {list(dims)}: export the "
            "model again."
        )
    if indices.ndim == 1:
        full.flat[indices] = values
    else:
        full[tuple(indices.T)] = values
    return numpy_helper.from_array(full, name)
