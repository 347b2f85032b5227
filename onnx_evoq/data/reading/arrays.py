"""Match arrays from .npz files, .npy files and mappings to the model's inputs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.batch import listed, one_group
from onnx_evoq.data.reading.array_file import StoredArray, stored_arrays
from onnx_evoq.data.reading.limit import Limit, bytes_as_fed, in_words
from onnx_evoq.data.reading.raw import Raw, grouped
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

LABELS = "y"
_NAMES = 8  # of arrays that a message lists

Given = StoredArray | NDArray[Any]
ArrayT = TypeVar("ArrayT")


def read_arrays(path: Path, specs: Sequence[TensorSpec], limit: Limit) -> Raw:
    """Read an .npz file with arrays named like the model's inputs, or an .npy file.

    If the model has one input, its array may also be named `x`. Labels are named `y`.

    Args:
        path: the file.
        specs: the model's inputs.
        limit: how many samples to read.

    Raises:
        DataError: the file cannot be read, holds pickled objects, or lacks an input.
    """
    wanted = dict.fromkeys([*(spec.name for spec in specs), "x", LABELS])
    arrays, names = stored_arrays(path, wanted)
    return _matched(arrays, names, str(path), specs, limit, own=True)


def from_mapping(
    arrays: Mapping[str, Any], source: str, specs: Sequence[TensorSpec], limit: Limit
) -> Raw:
    """Match arrays to the model's inputs by name.

    Args:
        arrays: (samples, ...) each, named as in `read_arrays`; or a list of one array for each
            sample, whose shapes may differ.
        source: the name of the data in messages.
        specs: the model's inputs.
        limit: how many samples to use.

    Raises:
        DataError: an input has no array, or the numbers of samples differ.
    """
    names = {spec.name for spec in specs} | {"x", LABELS}
    given = {
        name: _samples_of(values, name, source) for name, values in arrays.items() if name in names
    }
    return _matched(given, list(arrays), source, specs, limit, own=False)


def _samples_of(values: Any, name: str, source: str) -> NDArray[Any]:
    """(samples, ...), or (samples,) of one array each where their shapes differ."""
    if isinstance(values, list | tuple) or (
        isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1
    ):
        try:
            samples = [np.asarray(sample) for sample in values]
        except ValueError as cause:  # a list of lists of several lengths
            raise DataError(
                f"{source}: a sample of {name!r} is no array: pad its rows to one length."
            ) from cause
        return listed(samples) if samples else np.asarray(values)
    return np.asarray(values)


def _matched(
    arrays: Mapping[str, Given],
    names: Sequence[str],
    source: str,
    specs: Sequence[TensorSpec],
    limit: Limit,
    *,
    own: bool,
) -> Raw:
    """The first samples of the model's inputs, and their labels.

    Args:
        arrays: those that may be needed.
        names: of all arrays.
        source: the name of the data in messages.
        specs: the model's inputs.
        limit: how many samples to read.
        own: whether the arrays are no one else's.
    """
    inputs = arrays_of_inputs(arrays, names, source, specs)
    labels = None if LABELS in inputs else arrays.get(LABELS)
    given = _number(inputs, labels, source)
    sizes = [
        bytes_as_fed(math.prod(inputs[spec.name].shape[1:]), inputs[spec.name].dtype, spec)
        for spec in specs
    ]
    if given and not any(sizes):
        raise DataError(f"{source}: its samples are empty: give some values in each.")
    ragged = any(_is_ragged(array) for array in inputs.values())
    count, notes = limit.count(given, 0 if ragged else sum(sizes), source)
    read = {name: _first(array, count, limit) for name, array in inputs.items()}
    groups = [one_group(read)]
    if ragged:
        samples = range(min(count, given))
        groups = grouped(
            [{name: np.asarray(array[k])[None] for name, array in read.items()} for k in samples]
        )
    of_samples = None if labels is None else _first(labels, count, limit)
    return Raw(groups, of_samples, source, notes, own=own or ragged)


def arrays_of_inputs(
    arrays: Mapping[str, ArrayT], names: Sequence[str], source: str, specs: Sequence[TensorSpec]
) -> dict[str, ArrayT]:
    """The array of each of the model's inputs, in their order.

    Args:
        arrays: by name; that of an only input may be named `x`.
        names: of all arrays, for the message.
        source: the name of the data in messages.
        specs: the model's inputs.

    Raises:
        DataError: an input has no array.
    """
    wanted = [spec.name for spec in specs]
    inputs = {name: arrays[name] for name in wanted if name in arrays}
    if len(wanted) == 1 and not inputs and "x" in arrays:
        inputs = {wanted[0]: arrays["x"]}
    missing = next((name for name in wanted if name not in inputs), None)
    if missing is not None:
        allowed = f"{missing!r}" + (" or 'x'" if len(wanted) == 1 and missing != "x" else "")
        raise DataError(
            f"{source}: holds {_some(names)}, but the model's input is {missing!r}: name the array "
            f"{allowed}."
        )
    return inputs


def _number(inputs: Mapping[str, Given], labels: Given | None, source: str) -> int:
    """The number of samples, which all arrays must have."""
    scalar = next((name for name, array in inputs.items() if not array.shape), None)
    if scalar is not None:
        raise DataError(f"{source}: {scalar!r} is a single number: give an array (samples, ...).")
    lengths = {name: array.shape[0] for name, array in inputs.items()}
    if len(set(lengths.values())) > 1:
        each = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise DataError(f"{source}: the inputs differ in their number of samples ({each}).")
    count = next(iter(lengths.values()), 0)
    if labels is not None and labels.shape[:1] != (count,):
        given = f"{labels.shape[0]} labels" if labels.shape else "a single number"
        raise DataError(f"{source}: {count} samples but {given} in 'y': give one label per sample.")
    return count


def _first(array: Given, count: int, limit: Limit) -> NDArray[Any]:
    if isinstance(array, np.ndarray):
        return array[:count]
    if array.whole and limit.memory is not None and array.nbytes > limit.memory:
        raise DataError(
            f"{array.name}: is saved by columns (Fortran order), so that all of its "
            f"{in_words(array.nbytes)} would have to be read: save numpy.ascontiguousarray of it."
        )
    return array.first(count)


def _is_ragged(array: Given) -> bool:
    """Whether an array holds an array for each sample."""
    return (
        isinstance(array, np.ndarray)
        and array.dtype == object
        and array.ndim == 1
        and any(isinstance(sample, np.ndarray) for sample in array[:1])
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return (", ".join(map(repr, names[:_NAMES])) or "no array") + more
