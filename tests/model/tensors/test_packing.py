"""Codes of few bits are packed as ONNX packs them."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_evoq.model.tensors import packing, tensor_of_codes


@pytest.mark.parametrize(("kind", "bits"), [("INT8", 8), ("INT4", 4), ("INT2", 2)])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5,), (3, 7), (4, 2, 2)])
def test_codes_are_packed_as_onnx_does(
    monkeypatch: pytest.MonkeyPatch, kind: str, bits: int, shape: tuple[int, ...]
) -> None:
    number = getattr(TensorProto, kind)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    codes = np.random.default_rng(2).integers(low, high, shape, np.int8)
    narrow = helper.tensor_dtype_to_np_dtype(number)
    for at_a_time in (2**24, 4):
        monkeypatch.setattr(packing, "_AT_A_TIME", at_a_time)
        packed = tensor_of_codes(codes, number, "codes")
        assert packed == numpy_helper.from_array(codes.astype(narrow), "codes")
