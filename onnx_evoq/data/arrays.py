"""Match arrays from .npz files, .npy files and mappings to the model's inputs."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

LABELS = "y"


@dataclass(frozen=True, eq=False)
class Raw:
    """Arrays as they were read, before they are made to fit the model.

    Attributes:
        inputs: (samples, ...) for each of the model's inputs.
        labels: (samples, ...), or None where there are none.
        source: the name of the data in messages.
        notes: sentences for the user.
        sized: whether images were already resized and cropped while they were read.
    """

    inputs: Mapping[str, NDArray[Any]]
    labels: NDArray[Any] | None
    source: str
    notes: tuple[str, ...] = ()
    sized: bool = False


def read_arrays(path: Path, specs: Sequence[TensorSpec], samples: int | None) -> Raw:
    """Read an .npz file with arrays named like the model's inputs, or an .npy file.

    If the model has one input, its array may also be named `x`. Labels are named `y`.

    Args:
        path: the file.
        specs: the model's inputs.
        samples: how many samples to use, the first ones; None for all.

    Raises:
        DataError: the file cannot be read, holds pickled objects, or lacks an input.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            one = isinstance(loaded, np.ndarray)
            arrays = {"x": loaded} if one else {name: loaded[name] for name in loaded.files}
    except ValueError as cause:
        raise DataError(
            f"{path}: holds pickled objects or is damaged: save plain arrays of numbers."
        ) from cause
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as cause:
        raise DataError(f"{path}: cannot be read as {path.suffix}: {_short(cause)}.") from cause
    return from_mapping(arrays, str(path), specs, samples)


def from_mapping(
    arrays: Mapping[str, NDArray[Any]],
    source: str,
    specs: Sequence[TensorSpec],
    samples: int | None,
) -> Raw:
    """Match arrays to the model's inputs by name.

    Args:
        arrays: (samples, ...) each, named as in `read_arrays`.
        source: the name of the data in messages.
        specs: the model's inputs.
        samples: how many samples to use, the first ones; None for all.

    Raises:
        DataError: an input has no array, or the numbers of samples differ.
    """
    names = [spec.name for spec in specs]
    inputs = {name: _array(arrays[name], name, source) for name in names if name in arrays}
    if len(names) == 1 and not inputs and "x" in arrays:
        inputs = {names[0]: _array(arrays["x"], "x", source)}
    missing = [name for name in names if name not in inputs]
    if missing:
        allowed = f"{missing[0]!r}" + (" or 'x'" if len(names) == 1 and names != ["x"] else "")
        raise DataError(
            f"{source}: holds {_listed(arrays)}, but the model's input is {missing[0]!r}: "
            f"name the array {allowed}."
        )
    labels = None
    if LABELS in arrays and LABELS not in names:
        labels = _array(arrays[LABELS], LABELS, source)
    return _first_samples(inputs, labels, source, samples)


def _array(values: Any, name: str, source: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as cause:  # lists of several lengths
        raise DataError(f"{source}: {name!r} is no array: pad its rows to one length.") from cause


def _first_samples(
    inputs: Mapping[str, NDArray[Any]],
    labels: NDArray[Any] | None,
    source: str,
    samples: int | None,
) -> Raw:
    """The first samples of all arrays, which must have one length."""
    scalar = next((name for name, array in inputs.items() if array.ndim == 0), None)
    if scalar is not None:
        raise DataError(f"{source}: {scalar!r} is a single number: give an array (samples, ...).")
    lengths = {name: len(array) for name, array in inputs.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise DataError(f"{source}: the inputs differ in their number of samples ({listed}).")
    count = next(iter(lengths.values()), 0)
    if labels is not None and (labels.ndim == 0 or len(labels) != count):
        given = "a single number" if labels.ndim == 0 else f"{len(labels)} labels"
        raise DataError(f"{source}: {count} samples but {given} in 'y': give one label per sample.")
    first = {name: array[:samples] for name, array in inputs.items()}
    return Raw(first, None if labels is None else labels[:samples], source)


def _listed(arrays: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in arrays) or "no array"


def _short(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
