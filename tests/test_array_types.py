"""The types of arrays."""

from typing import get_args

import numpy as np
import pytest

from onnx_evoq import array_types


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("Float32Array", np.float32),
        ("Float64Array", np.float64),
        ("Codes", np.int8),
        ("Indices", np.intp),
        ("Array", np.generic),
    ],
)
def test_each_name_stands_for_arrays_of_one_type(name: str, dtype: type) -> None:
    _, array_dtype = get_args(getattr(array_types, name))
    assert get_args(array_dtype) == (dtype,)
