"""The place of a tensor in a data file, as the tensor states it.

`external_data` of a tensor is a list of keys with values: the `location`, a file, and an `offset`
and a `length` in bytes. In a model that is loaded, the location is an absolute path, offset and
length are stated, and one more key says which version of the file was opened.
"""

import os
from pathlib import Path
from typing import NamedTuple

from onnx import TensorProto

from onnx_evoq.errors import ModelError

_VERSION = "version"  # the key that ONNX does not have
_OF_VALUES = (
    "data_location", "double_data", "external_data", "float_data", "int32_data", "int64_data",
    "raw_data", "segment", "string_data", "uint64_data",
)  # fmt: skip


def is_external(tensor: TensorProto) -> bool:
    """Whether the values of a tensor are in a data file."""
    return tensor.data_location == TensorProto.EXTERNAL


class Place(NamedTuple):
    """A part of a data file.

    Attributes:
        path: the file.
        offset: of the first byte.
        length: in bytes.
        version: of the file; it differs if the file changed.
    """

    path: str
    offset: int
    length: int
    version: str


def is_settled(tensor: TensorProto) -> bool:
    """Whether a tensor states a full place of its values, as `put` writes it."""
    return _VERSION in stated(tensor)


def place_of(tensor: TensorProto) -> Place:
    """The place of the values of a tensor of a loaded model, whose data file is as it was.

    Raises:
        ModelError: the file is gone, or it changed since the model was loaded.
    """
    entries = stated(tensor)
    path = entries["location"]
    try:
        version = version_of(Path(path).stat())
    except OSError as cause:
        raise ModelError(f"{path}: cannot be read any more: {cause.strerror}.") from cause
    if version != entries[_VERSION]:
        raise ModelError(f"{path}: changed while the model was in use: start again.")
    return Place(path, int(entries["offset"]), int(entries["length"]), version)


def put(tensor: TensorProto, place: Place) -> None:
    """Let a tensor state the place of its values, in place of values that it holds."""
    state(tensor, place.path, place.offset, place.length)
    tensor.external_data.add(key=_VERSION, value=place.version)


def state(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    """Let a tensor state where its values are, as files do, in place of values that it holds."""
    clear(tensor)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def clear(tensor: TensorProto) -> None:
    """Let a tensor hold no values, and state no place of them."""
    for field in _OF_VALUES:
        tensor.ClearField(field)


def stated(tensor: TensorProto) -> dict[str, str]:
    """What a tensor states of its place."""
    return {entry.key: entry.value for entry in tensor.external_data}


def version_of(status: os.stat_result) -> str:
    """The version of a file."""
    return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
