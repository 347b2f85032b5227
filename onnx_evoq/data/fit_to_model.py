"""Make arrays fit a model's inputs: preprocess them, and check their shapes and types."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.batch import Group
from onnx_evoq.data.preprocess import (
    CHANNELS,
    Preprocess,
    centre_crop,
    channels_last,
    resized_arrays,
    resized_to,
    scale,
)
from onnx_evoq.data.reading import NO_LIMIT, Limit, Raw, joined
from onnx_evoq.data.samples import Samples
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

_FLOAT = 4  # bytes


def fit_to_model(
    raw: Raw, specs: Sequence[TensorSpec], steps: Preprocess, limit: Limit = NO_LIMIT
) -> Samples:
    """Preprocess arrays, convert them to the types of the model's inputs and check their shapes.

    Args:
        raw: the samples.
        specs: the model's inputs. Numbers change in inputs of floats only.
        steps: the preprocessing.
        limit: the memory that resized images may take.

    Raises:
        DataError: a shape or type does not match, or a value is NaN or infinite.
    """
    read = _without_axis_of_one(raw.groups, specs)
    given = {spec.name: [group.inputs[spec.name] for group in read] for spec in specs}
    if steps.needs_images and not any(a.ndim == 4 for arrays in given.values() for a in arrays):
        raise DataError(
            f"{raw.source}: resize, crop and color are for images, and no input has four axes: "
            "leave them out."
        )
    if steps.changes_numbers and not any(_takes_floats(spec) for spec in specs):
        raise DataError(
            f"{raw.source}: {specs[0].name!r} takes {specs[0].kind}, and divide, mean and std "
            "make fractions: leave them out."
        )
    notes = list(raw.notes)
    for spec in specs:
        notes += _note_on_bytes(given[spec.name], spec, steps, raw.source)
    groups = []
    for group in read:
        inputs = {
            spec.name: _fit(group.inputs[spec.name], spec, steps, limit, raw.source, notes)
            for spec in specs
        }
        groups.append(Group(inputs, group.places))
    every = [array for arrays in given.values() for array in arrays]
    own = raw.own or not any(
        np.may_share_memory(a, b) for group in groups for a in group.inputs.values() for b in every
    )
    return Samples(joined(groups), raw.labels, tuple(dict.fromkeys(notes)), raw.source, own)


def _takes_floats(spec: TensorSpec) -> bool:
    return bool(np.issubdtype(spec.dtype, np.floating))


def _without_axis_of_one(groups: Sequence[Group], specs: Sequence[TensorSpec]) -> list[Group]:
    """Samples in place of whole feeds, if all feeds have an axis for samples, of size 1."""
    arrays = [(group.inputs[spec.name], spec.shape) for group in groups for spec in specs]
    if any(
        shape is None or array.ndim != len(shape) + 1 or array.shape[1:2] != (1,)
        for array, shape in arrays
    ):
        return list(groups)
    return [
        Group({name: array[:, 0] for name, array in group.inputs.items()}, group.places)
        for group in groups
    ]


def _note_on_bytes(
    arrays: Sequence[NDArray[Any]], spec: TensorSpec, steps: Preprocess, source: str
) -> list[str]:
    """A note if an input of floats is fed with the values that bytes have."""
    given = [array for array in arrays if array.dtype == np.uint8 and array.size]
    if steps.changes_numbers or not _takes_floats(spec) or not given:
        return []
    low, high = min(array.min() for array in given), max(array.max() for array in given)
    return [
        f"{source}: {spec.name!r} is uint8 and was fed as it is, {low} to {high}: pass divide "
        "(255, say), mean and std if the model expects scaled values."
    ]


def _fit(
    values: NDArray[Any],
    spec: TensorSpec,
    steps: Preprocess,
    limit: Limit,
    source: str,
    notes: list[str],
) -> Array:
    if spec.dtype == object:
        _check_shape(values, spec, source)
        return _text(values, spec, source)
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"{source}: {spec.name!r} holds {values.dtype}, and the model takes {spec.kind}: give "
            "numbers."
        )
    takes_floats = _takes_floats(spec)
    axis = values.ndim - 1
    if values.ndim == 4:
        kind = values.dtype
        values, axis = _as_images(values, spec, steps, limit, source, notes)
        if not takes_floats and kind.kind in "iu":  # resized images are floats
            values = np.rint(values).astype(kind)
    elif spec.shape is not None and values.ndim == 5 and len(spec.shape) == 4:  # whole feeds
        axis = 4 if channels_last(spec, steps.layout) else 2
    if steps.changes_numbers and takes_floats:
        values = scale(values, axis, steps, spec.name)
    _check_shape(values, spec, source)
    return _cast(values, spec, source)


def _text(values: NDArray[Any], spec: TensorSpec, source: str) -> Array:
    """Text as objects, the form in which ONNX Runtime takes it."""
    text = values.astype(object)
    if values.dtype.kind == "S":
        with contextlib.suppress(UnicodeDecodeError):
            text = np.char.decode(values, "utf-8").astype(object)
    if not all(isinstance(each, str) for each in text.flat):
        raise DataError(
            f"{source}: {spec.name!r} holds {values.dtype}, but the model takes text: give strings."
        )
    return np.asarray(text)


def _as_images(
    values: NDArray[Any],
    spec: TensorSpec,
    steps: Preprocess,
    limit: Limit,
    source: str,
    notes: list[str],
) -> tuple[NDArray[Any], int]:
    """Resized and cropped images in the model's layout and colours, and their channel axis."""
    last = channels_last(spec, steps.layout)
    resizes = steps.resize is not None or steps.crop is not None
    transposed = values.transpose(0, 2, 3, 1) if last else values.transpose(0, 3, 1, 2)
    if not _matches(values.shape, spec, resizes) and _matches(transposed.shape, spec, resizes):
        values = transposed
        notes.append(f"{source}: {spec.name!r} was transposed to {'nhwc' if last else 'nchw'}.")
    if steps.resize is not None:
        _check_resized(values, steps.resize, last, limit, source)
        values = resized_arrays(values, steps.resize, last)
    if steps.crop is not None:
        values = centre_crop(values, steps.crop, last)
    axis = 3 if last else 1
    if steps.color == "bgr" and values.shape[axis] == 3:
        values = np.flip(values, axis)
    return values, axis


def _check_resized(
    values: NDArray[Any], size: int | tuple[int, int], last: bool, limit: Limit, source: str
) -> None:
    """Raise DataError if resized images, which are floats, take too much memory."""
    channels, shape = (
        (values.shape[3], values.shape[1:3]) if last else (values.shape[1], values.shape[2:])
    )
    height, width = resized_to((shape[0], shape[1]), size)
    name = f"{source} resized to {height}x{width}"
    limit.check(height * width * channels * _FLOAT, name, len(values))


def _matches(shape: tuple[int, ...], spec: TensorSpec, resizes: bool) -> bool:
    """Whether all axes behind the first agree; before a resize, only those that hold channels."""
    if spec.shape is None or len(shape) != len(spec.shape):
        return False
    pairs = list(zip(shape, spec.shape, strict=True))[1:]
    if resizes:
        pairs = [(have, want) for have, want in pairs if want in CHANNELS]
    return all(want in (None, have) for have, want in pairs)


def _check_shape(values: NDArray[Any], spec: TensorSpec, source: str) -> None:
    """Raise DataError if the values are neither samples nor whole feeds of the input."""
    if spec.shape is None:
        return
    whole_feeds = values.ndim == len(spec.shape) + 1
    sizes = spec.shape if whole_feeds else spec.shape[1:]  # of the axes behind the samples
    if values.ndim - 1 != len(sizes) or any(
        want not in (None, have) for have, want in zip(values.shape[1:], sizes, strict=True)
    ):
        raise DataError(
            f"{source}: the array for {spec.name!r} has shape {values.shape}, but the model takes "
            f"{spec.describe()}: reshape, resize or crop the samples."
        )


def _cast(values: NDArray[Any], spec: TensorSpec, source: str) -> Array:
    if not np.issubdtype(spec.dtype, np.floating) and values.dtype.kind == "f":
        raise DataError(
            f"{source}: {spec.name!r} holds {values.dtype}, but the model takes {spec.kind}: "
            "give whole numbers."
        )
    if spec.dtype.kind in "iu" and values.dtype.kind in "iu" and values.size:
        limits = np.iinfo(spec.dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise DataError(f"{source}: {spec.name!r} holds values that {spec.dtype} cannot.")
    with np.errstate(over="ignore"):  # infinite values are refused below
        cast = np.ascontiguousarray(values, dtype=spec.dtype)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise DataError(f"{source}: {spec.name!r} holds NaN or infinity: clean the samples.")
    return cast
