"""The values of a tensor, wherever they are.

A tensor holds its values itself, or it states a place in a data file. Such a file may be larger
than the memory, so it is mapped, and the system reads the pages that are used.
"""

import errno
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors.place import Place, clear, is_external, place_of
from onnx_evoq.model.tensors.sizes import NARROW


def array_of(tensor: TensorProto) -> NDArray[Any]:
    """The values of a tensor in its type and shape; of a data file a view that cannot be written.

    Args:
        tensor: any tensor of a loaded model.

    Raises:
        ModelError: its data file is gone, or changed.
    """
    if tensor.data_type == TensorProto.STRING:  # they need not be text
        texts = [text.decode("utf-8", "surrogateescape") for text in tensor.string_data]
        return np.array(texts, object).reshape(tuple(tensor.dims))
    if not is_external(tensor):
        return numpy_helper.to_array(tensor)
    raw = mapped(place_of(tensor))
    if tensor.data_type in NARROW:  # several values share a byte, and are unpacked into memory
        held = TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=raw.tobytes())
        return numpy_helper.to_array(held)
    values = raw.view(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return np.require(values, None, "A").reshape(tuple(tensor.dims))  # copied if not aligned


def read(tensor: TensorProto) -> None:
    """Let a tensor hold its values, which are in a data file.

    Raises:
        ModelError: its data file is gone, or changed.
    """
    values = mapped(place_of(tensor)).tobytes()
    clear(tensor)
    tensor.raw_data = values


def mapped(place: Place) -> NDArray[np.uint8]:
    """(bytes,) of a data file, which are read where they are used."""
    if not place.length:
        return np.zeros(0, np.uint8)
    try:
        return np.memmap(place.path, np.uint8, "r", place.offset, (place.length,)).view(np.ndarray)
    except OSError as cause:
        if cause.errno == errno.ENOMEM:  # of addresses, where these are bounded
            raise MemoryError(f"mapping {place.path}") from cause
        raise ModelError(f"{place.path}: cannot be read: {cause.strerror}.") from cause
