"""Make arrays fit a model's inputs: preprocess them, and check their shapes and types."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.data.arrays import Raw
from onnx_evoq.data.preprocess import CHANNELS, Preprocess, centre_crop, channels_last, scale
from onnx_evoq.data.resize import resized_arrays
from onnx_evoq.data.samples import Samples
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec


def fit_to_model(raw: Raw, specs: Sequence[TensorSpec], steps: Preprocess) -> Samples:
    """Preprocess arrays, convert them to the types of the model's inputs and check their shapes.

    Args:
        raw: the arrays, one per input.
        specs: the model's inputs.
        steps: the preprocessing.

    Raises:
        DataError: a shape or type does not match, or a value is NaN or infinite.
    """
    notes = list(raw.notes)
    if steps.needs_images and not any(raw.inputs[spec.name].ndim == 4 for spec in specs):
        raise DataError(
            f"{raw.source}: resize, crop and color are for images, and no input has four axes: "
            "leave them out."
        )
    inputs = {
        spec.name: _fit(raw.inputs[spec.name], spec, steps, raw.source, notes) for spec in specs
    }
    given = list(raw.inputs.values())
    own = not any(np.may_share_memory(a, b) for a in inputs.values() for b in given)
    return Samples(inputs, raw.labels, tuple(notes), raw.source, own)


def _fit(
    values: NDArray[Any], spec: TensorSpec, steps: Preprocess, source: str, notes: list[str]
) -> Array:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{source}: {spec.name!r} holds {values.dtype}, not numbers.")
    takes_floats = np.issubdtype(spec.dtype, np.floating)
    if steps.changes_numbers and not takes_floats:
        raise DataError(
            f"{source}: {spec.name!r} takes {spec.dtype}, and divide, mean and std make fractions: "
            "leave them out."
        )
    axis = values.ndim - 1
    if values.ndim == 4:
        kind = values.dtype
        values, axis = _as_images(values, spec, steps, source, notes)
        if not takes_floats and kind.kind in "iu":  # resized images are floats
            values = np.rint(values).astype(kind)
    elif spec.shape is not None and values.ndim == 5 and len(spec.shape) == 4:  # whole feeds
        axis = 4 if channels_last(spec, steps.layout) else 2
    if steps.changes_numbers:
        values = scale(values, axis, steps, spec.name)
    elif takes_floats and values.dtype == np.uint8:
        notes.append(
            f"{source}: {spec.name!r} is uint8 and was fed as it is, {values.min()} to "
            f"{values.max()}: pass divide (255, say), mean and std if the model expects "
            "scaled values."
        )
    _check_shape(values, spec, source)
    return _cast(values, spec, source)


def _as_images(
    values: NDArray[Any], spec: TensorSpec, steps: Preprocess, source: str, notes: list[str]
) -> tuple[NDArray[Any], int]:
    """Resized and cropped images in the model's layout and colours, and their channel axis."""
    last = channels_last(spec, steps.layout)
    resizes = steps.resize is not None or steps.crop is not None
    transposed = values.transpose(0, 2, 3, 1) if last else values.transpose(0, 3, 1, 2)
    if not _matches(values.shape, spec, resizes) and _matches(transposed.shape, spec, resizes):
        values = transposed
        notes.append(f"{source}: {spec.name!r} was transposed to {'nhwc' if last else 'nchw'}.")
    if steps.resize is not None:
        values = resized_arrays(values, steps.resize, last)
    if steps.crop is not None:
        values = centre_crop(values, steps.crop, last)
    axis = 3 if last else 1
    if steps.color == "bgr" and values.shape[axis] == 3:
        values = np.flip(values, axis)
    return values, axis


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
            f"{source}: {spec.name!r} holds {values.dtype}, but the model takes {spec.dtype}: "
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
