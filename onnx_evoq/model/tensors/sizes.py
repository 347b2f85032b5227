"""How many bytes a tensor takes, and whether it holds the values that its shape and type ask for.

A tensor has `raw_data`, its bytes in the order of a file, or a list of numbers, in the field that
its type names. ONNX Runtime and NumPy trust both, so that they are compared first.
"""

import math

from onnx import TensorProto, helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors.place import is_external

_NARROW = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2, "FLOAT6E2M3": 6,
           "FLOAT6E3M2": 6}  # fmt: skip
# The bits of the types that are narrower than a byte, as far as this version of ONNX has them.
NARROW = {
    getattr(TensorProto, name): bits for name, bits in _NARROW.items() if hasattr(TensorProto, name)
}
_KNOWN = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_COMPLEX = {TensorProto.COMPLEX64, TensorProto.COMPLEX128}
_LISTS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def count_of(tensor: TensorProto) -> int:
    """The number of values of a tensor."""
    return math.prod(tensor.dims)


def bytes_of(tensor: TensorProto) -> int:
    """The bytes of the values of a tensor, as a file holds them; of strings, their characters."""
    if tensor.data_type == TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    return -(-count_of(tensor) * _bits(tensor.data_type) // 8)


def check_values(tensor: TensorProto, model: str) -> None:
    """Check that a tensor has a type and a shape, and the values that these ask for.

    Args:
        tensor: any tensor of a model; of one with its values in a data file, the rest is checked.
        model: the name of the model in messages.

    Raises:
        ModelError: it has not.
    """

    def refuse(what: str) -> ModelError:
        return ModelError(f"{model}: tensor {tensor.name!r} {what}: export the model again.")

    if tensor.data_type not in _KNOWN:
        raise refuse(f"has the unknown data type {tensor.data_type}")
    if any(size < 0 for size in tensor.dims):
        raise refuse(f"has the shape {list(tensor.dims)}")
    if is_external(tensor):
        if tensor.data_type == TensorProto.STRING:
            raise refuse("holds strings in a data file, where ONNX has numbers only")
        return
    if tensor.HasField("segment"):
        raise refuse("is divided into segments, which no runtime reads")
    lists = [field for field in _LISTS if len(getattr(tensor, field))]
    if len(lists) + tensor.HasField("raw_data") > 1:
        raise refuse("holds its values twice")
    shape = f"its shape {list(tensor.dims)} and its type {_name(tensor.data_type)}"
    if tensor.HasField("raw_data"):
        if tensor.data_type == TensorProto.STRING:
            raise refuse("holds strings as bytes")
        held, needed = len(tensor.raw_data), bytes_of(tensor)
        if held != needed:
            raise refuse(f"holds {held} bytes, and {shape} need {needed}")
        return
    own = helper.tensor_dtype_to_field(tensor.data_type)
    held, needed = len(getattr(tensor, own)), _listed(tensor)
    if held != needed or lists not in ([], [own]):
        raise refuse(f"holds {held} numbers in its field {own}, and {shape} need {needed}")


def _bits(data_type: int) -> int:
    return NARROW.get(data_type) or 8 * helper.tensor_dtype_to_np_dtype(data_type).itemsize


def _listed(tensor: TensorProto) -> int:
    """How many numbers a list has that holds the values of a tensor."""
    if tensor.data_type in _COMPLEX:
        return 2 * count_of(tensor)
    in_one = 8 // NARROW.get(tensor.data_type, 8)  # values of 6 bits stand alone
    return -(-count_of(tensor) // in_one)


def _name(data_type: int) -> str:
    return str(TensorProto.DataType.Name(data_type)).lower()
