"""The values of a tensor, wherever they are.

A tensor holds its values itself, or it names a place in a data file: its `location`, which is an
absolute path in a model that is loaded, its `offset` and its `length` in bytes. A data file may be
larger than the memory, so it is mapped, and the system reads the pages that are used.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Several values share a byte, so they are unpacked into memory.
_PACKED = {
    TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2,
    TensorProto.FLOAT4E2M1,
}  # fmt: skip


def is_external(tensor: TensorProto) -> bool:
    """Whether the values of a tensor are in a data file."""
    return tensor.data_location == TensorProto.EXTERNAL


def array_of(tensor: TensorProto) -> NDArray[Any]:
    """The values of a tensor in its type and shape; of a data file a view that cannot be written.

    Args:
        tensor: any tensor of a model that is loaded.
    """
    if not is_external(tensor):
        return numpy_helper.to_array(tensor)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path, offset, length = entries["location"], int(entries["offset"]), int(entries["length"])
    if not length:
        return np.zeros(tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type))
    raw = np.memmap(path, np.uint8, "r", offset, (length,)).view(np.ndarray)
    if tensor.data_type in _PACKED:
        held = TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=raw.tobytes())
        return numpy_helper.to_array(held)
    values = raw.view(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return np.require(values, None, "A").reshape(tuple(tensor.dims))  # copied if not aligned
