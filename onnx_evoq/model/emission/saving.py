"""Write a model to a file, and the values of large tensors to a data file beside it.

A data file is written where one file cannot hold the model, or where it is asked for. It has the
name of the model's file with `.data` at the end. Both are complete before either has its name.
"""

from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import EncodeError
from onnx import ModelProto, TensorProto

from onnx_evoq.errors import OutputError
from onnx_evoq.model.graph import copy_fields, serialize
from onnx_evoq.model.tensors import (
    DataFile,
    bytes_of,
    is_external,
    place_of,
    raw_blocks,
    read,
    state,
)
from onnx_evoq.output_file import is_replaced, replacing, same_file, write_all, write_file

MOST_BYTES = 2**31 - 2**24  # of the values in a model's file: protobuf allows 2 GB in all
_FEW_BYTES = 2**10  # stay in the model's file


def data_file_of(path: str | Path) -> Path:
    """The data file of the model in a file.

    Example:
        >>> data_file_of("models/net.w4.onnx").name
        'net.w4.onnx.data'
    """
    return Path(path).with_name(f"{Path(path).name}.data")


def fits_a_file(model: ModelProto, most_bytes: int = MOST_BYTES) -> bool:
    """Whether one file can hold a model."""
    return sum(map(bytes_of, model.graph.initializer)) <= most_bytes


def embed(model: ModelProto, most_bytes: int = MOST_BYTES) -> None:
    """Let all initializers of a model hold their values, if one file can hold them."""
    if fits_a_file(model, most_bytes):
        for tensor in filter(is_external, model.graph.initializer):
            read(tensor)


def in_one_file(model: ModelProto, path: str | Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a model as one file.

    Args:
        model: the model; it stays as it is.
        path: where it will be written, as messages say it.
        most_bytes: of all values, at most.

    Raises:
        OutputError: it is too large.
    """
    if fits_a_file(model, most_bytes):
        try:
            if not any(map(is_external, model.graph.initializer)):
                return serialize(model)
            return serialize(_with(model, map(_embedded, model.graph.initializer)))
        except EncodeError:  # nodes hold too much
            pass
    raise OutputError(
        f"{path}: one file holds no model above 2 GB: name a file in a folder, so that a data file "
        "can be written beside it."
    )


def save(
    model: ModelProto,
    path: str | Path,
    *,
    beside: bool = False,
    keep: Iterable[Path] = (),
    most_bytes: int = MOST_BYTES,
) -> None:
    """Write a model to a file, pipe or device, either all of it or nothing.

    Args:
        model: the model; it stays as it is.
        path: the file to write. A pipe and a device get the model as one file.
        beside: whether large values are written to a data file even if one file could hold them.
        keep: files that are not replaced by the data file.
        most_bytes: of the values in one file, at most.

    Raises:
        OutputError: a file cannot be written, or a pipe cannot take the model.
    """
    large = [tensor for tensor in model.graph.initializer if bytes_of(tensor) >= _FEW_BYTES]
    one_file = fits_a_file(model, most_bytes) and not (beside and large)
    if one_file or not is_replaced(path):
        write_file(path, in_one_file(model, path, most_bytes))
        return
    data = data_file_of(path)
    sources = {Path(place_of(tensor).path) for tensor in large if is_external(tensor)}
    for target in (data, Path(path)):
        if any(same_file(target, file) for file in (*keep, *sources)):
            raise OutputError(f"{target}: holds the values of the model: name another file.")
    with replacing(data, path) as (values, graph):
        file = DataFile(values, str(data))
        placed = [_placed(tensor, file, data.name) for tensor in model.graph.initializer]
        write_all(graph, serialize(_with(model, placed)))


def _embedded(tensor: TensorProto) -> TensorProto:
    """The tensor with its values."""
    if not is_external(tensor):
        return tensor
    copy = TensorProto()
    copy.CopyFrom(tensor)
    read(copy)
    return copy


def _placed(tensor: TensorProto, file: DataFile, name: str) -> TensorProto:
    """The tensor with its values in a data file of that name, if there are many."""
    length = bytes_of(tensor)
    if length < _FEW_BYTES:
        return tensor
    copy = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    state(copy, name, file.append(length, raw_blocks(tensor)), length)
    return copy


def _with(model: ModelProto, initializers: Iterable[TensorProto]) -> ModelProto:
    """The model with other initializers."""
    copy = ModelProto()
    copy_fields(model, copy, "graph")
    copy_fields(model.graph, copy.graph, "initializer")
    copy.graph.initializer.extend(initializers)
    return copy
