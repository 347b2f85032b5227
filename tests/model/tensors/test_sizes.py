"""Tensors hold as many values as their shapes and types ask for, or are refused."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors.sizes import bytes_of, check_values, count_of

KINDS = [
    "float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32",
    "int64", "uint64", "bool", "complex64", "complex128", ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4, ml_dtypes.uint4,
    ml_dtypes.int2, ml_dtypes.uint2, ml_dtypes.float4_e2m1fn,
]  # fmt: skip


def tensor_of(**fields: object) -> TensorProto:
    return TensorProto(**{"name": "w", "data_type": TensorProto.FLOAT, "dims": [3], **fields})


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (5, 3)])
def test_what_onnx_makes_passes(dtype: str, shape: tuple[int, ...]) -> None:
    tensor = numpy_helper.from_array(np.ones(shape, dtype), "w")
    assert (count_of(tensor), bytes_of(tensor)) == (np.prod(shape), len(tensor.raw_data))
    check_values(tensor, "m.onnx")
    tensor.raw_data = tensor.raw_data + b"\0"
    with pytest.raises(ModelError, match=r"m\.onnx: tensor 'w' holds \d+ bytes, and its shape"):
        check_values(tensor, "m.onnx")


@pytest.mark.parametrize("kind", sorted(set(TensorProto.DataType.values()) - {0}))
def test_lists_of_numbers_pass(kind: int) -> None:
    values = [b"a"] * 5 if kind == TensorProto.STRING else [1] * 5
    tensor = helper.make_tensor("w", kind, [5], values)
    check_values(tensor, "m.onnx")
    field = getattr(tensor, helper.tensor_dtype_to_field(kind))
    field.append(field[0])
    with pytest.raises(ModelError, match=r"'w' holds \d+ numbers in its field \w+_data, and its"):
        check_values(tensor, "m.onnx")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data_type": -1}, "'w' has the unknown data type -1: export the model again"),
        ({"data_type": 0}, "unknown data type 0"),
        ({"data_type": 99}, "unknown data type 99"),
        ({"dims": [3, -1]}, r"'w' has the shape \[3, -1\]"),
        ({"raw_data": bytes(11)}, r"holds 11 bytes, .* \[3\] and its type float need 12"),
        ({"dims": [2**40, 2**40], "raw_data": bytes(4)}, "need 4835703278458516698824704"),
        ({}, "holds 0 numbers in its field float_data, .* need 3"),
        ({"float_data": [1, 2]}, "holds 2 numbers"),
        ({"int32_data": [1, 2, 3]}, "holds 0 numbers in its field float_data"),
        ({"dims": [0], "int32_data": [1]}, "holds 0 numbers in its field float_data"),
        ({"float_data": [1, 2, 3], "raw_data": bytes(12)}, "holds its values twice"),
        ({"float_data": [1, 2, 3], "double_data": [1]}, "holds its values twice"),
        ({"data_type": TensorProto.STRING, "raw_data": b"abc"}, "holds strings as bytes"),
        ({"segment": TensorProto.Segment(begin=1)}, "divided into segments"),
        (
            {"data_type": TensorProto.STRING, "data_location": TensorProto.EXTERNAL},
            "holds strings in a data file",
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_values(tensor_of(**fields), "m.onnx")


def test_strings_have_the_bytes_of_their_characters() -> None:
    assert bytes_of(helper.make_tensor("s", TensorProto.STRING, [2], [b"ab", b"cde"])) == 5
