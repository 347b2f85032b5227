"""Find the values of tensors in data files, and refuse what is not there.

A location is a path below the folder of the model: no absolute path, and none with `..`. What it
leads to may be a link to anywhere, since caches of models keep files under other names elsewhere.
"""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from onnx import TensorProto

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors.place import (
    Place,
    is_external,
    is_settled,
    place_of,
    put,
    stated,
    version_of,
)
from onnx_evoq.model.tensors.sizes import bytes_of, check_values
from onnx_evoq.model.tensors.values import read

IN_MEMORY = "the model in memory"  # its name in messages
FEW_BYTES = 2**16  # values of fewer bytes are read at once: shapes may follow from them
_SHOWN = 80  # characters of a name in a message


def file_of(tensor: TensorProto, model: str) -> Path:
    """The data file of a tensor, relative to the folder of its model.

    Args:
        tensor: a tensor with its values in a data file.
        model: the name of the model in messages.

    Raises:
        ModelError: it names no file, or one outside the folder.
    """
    location = stated(tensor).get("location", "")
    if not location or "\0" in location:
        raise ModelError(
            f"{model}: tensor {tensor.name!r} names no data file that can exist "
            f"({_short(location)}): export the model again."
        )
    path = Path(location)
    if path.anchor or ".." in path.parts:
        raise ModelError(
            f"{model}: tensor {tensor.name!r} names the data file {_short(location)} outside the "
            "model's folder: move the file beside the model and export again."
        )
    return path


def settle(
    tensors: Iterable[TensorProto], model: str | Path | None, few_bytes: int = FEW_BYTES
) -> None:
    """Check all tensors, and let those in data files state full places, or read them.

    Args:
        tensors: of the model; they change.
        model: the file of the model; None for a model in memory.
        few_bytes: values of fewer bytes are read.

    Raises:
        ModelError: the values of a tensor do not fit its shape and type, or are not where it says.
    """
    for tensor in tensors:
        check_values(tensor, IN_MEMORY if model is None else str(model))
        if is_external(tensor):
            put(tensor, _known(tensor) if model is None else _found(tensor, Path(model)))
            if bytes_of(tensor) < few_bytes:
                read(tensor)


def _known(tensor: TensorProto) -> Place:
    """The place of a tensor of a model that was settled before."""
    if not is_settled(tensor):
        raise ModelError(
            f"{IN_MEMORY}: tensor {tensor.name!r} has its values in a data file, of an unknown "
            "folder: give the path of the model, or load it with its data."
        )
    return place_of(tensor)


def _found(tensor: TensorProto, model: Path) -> Place:
    """The place that a tensor states, which exists and has the right size."""
    location, entries = file_of(tensor, str(model)), stated(tensor)
    path, shown = model.parent / location, _short(str(location))
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):  # to open a pipe would wait for its writer
            os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError as cause:
        raise ModelError(
            f"{model}: the data file {shown} of tensor {tensor.name!r} is missing: put it beside "
            "the model."
        ) from cause
    except OSError as cause:
        raise ModelError(
            f"{model}: the data file {shown} of tensor {tensor.name!r} cannot be read: "
            f"{cause.strerror}."
        ) from cause
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(
            f"{model}: {shown}, which tensor {tensor.name!r} names, is no regular file: put the "
            "data file there."
        )
    needed = bytes_of(tensor)
    offset, length = (entries.get(key, "") for key in ("offset", "length"))
    if not all(re.fullmatch(r"[0-9]{0,18}", number) for number in (offset, length)):
        raise ModelError(
            f"{model}: tensor {tensor.name!r} names no place in {shown} (offset and length must be "
            "whole numbers): export the model again."
        )
    if length and int(length) != needed:
        raise ModelError(
            f"{model}: tensor {tensor.name!r} names {int(length)} bytes of {shown}, and its shape "
            f"{list(tensor.dims)} and its type need {needed}: export the model again."
        )
    if status.st_size < int(offset or 0) + needed:
        raise ModelError(
            f"{model}: the data file {shown} ends before tensor {tensor.name!r} does: it is "
            "truncated; copy it again."
        )
    return Place(os.path.realpath(path), int(offset or 0), needed, version_of(status))


def _short(text: str) -> str:
    """A text as messages show it."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
