"""Pack codes of few bits: two or four in a byte, the first one in the lowest bits."""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from onnx_evoq.array_types import Codes
from onnx_evoq.model.tensors.sizes import NARROW

_AT_A_TIME = 2**24  # codes, a multiple of those in a byte


def tensor_of_codes(codes: Codes, kind: int, name: str) -> TensorProto:
    """A tensor of codes.

    Args:
        codes: any shape, which fit the type.
        kind: the type: INT8, INT4 or INT2.
        name: of the tensor.
    """
    tensor = TensorProto(name=name, data_type=kind, dims=codes.shape)
    tensor.raw_data = (codes if kind not in NARROW else _packed(codes, NARROW[kind])).tobytes()
    return tensor


def _packed(codes: Codes, bits: int) -> NDArray[np.uint8]:
    """(bytes,) the codes in so many bits each."""
    in_one, flat = 8 // bits, codes.reshape(-1)
    packed = np.zeros(-(-flat.size // in_one), np.uint8)
    for start in range(0, flat.size, _AT_A_TIME):
        part = flat[start : start + _AT_A_TIME].view(np.uint8) & (2**bits - 1)
        into = packed[start // in_one :]
        for place in range(in_one):
            own = part[place::in_one]
            into[: own.size] |= own << (bits * place)
    return packed
