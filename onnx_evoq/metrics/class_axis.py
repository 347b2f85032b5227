"""The axis of an output that holds its classes, and whether they are probabilities.

It is the first of these that is found, with what the graph says (`OutputHint`) where it says so:

1. an axis along which all values are probabilities, or their logarithms: their sum is 1;
2. the axis that is as long as the layer before the output has channels;
3. by the shape: the last axis, or the second one of maps (n, classes, height, width), of volumes.

A single value is the score of the second of two classes. It is a probability if the graph ends in a
Sigmoid, say, or, where the graph does not tell, if it lies between 0 and 1 for all samples.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Float64Array
from onnx_evoq.signature import OutputHint

_SUM = 1e-3  # by which a sum of probabilities may differ from 1
_UNKNOWN = OutputHint()


class ClassAxis(NamedTuple):
    """The axis of an output's classes.

    Attributes:
        axis: counted from the last.
        probabilities: whether the values are probabilities.
        certain: whether the values sum to 1 along the axis, or those that they are logarithms of.
    """

    axis: int
    probabilities: bool
    certain: bool = False


def class_axis(batches: Sequence[NDArray[Any]], hint: OutputHint = _UNKNOWN) -> ClassAxis:
    """The axis of the classes.

    Args:
        batches: an output for each batch, (count, ...) each. All are looked at together, so that
            the answer does not depend on the batch.
        hint: what the graph says of the output.
    """
    shape = batches[0].shape[1:]
    hinted = [k for k in range(-len(shape), 0) if shape[k] in hint.channels]
    if len(hinted) != 1:
        hinted = []
    for axis in (*hinted, *range(-1, -len(shape) - 1, -1)):
        if shape[axis] > 1 and all(is_probability(part, axis) for part in batches):
            return ClassAxis(axis, True, certain=True)
        if shape[axis] > 1 and all(_is_log_probability(part, axis) for part in batches):
            return ClassAxis(axis, False, certain=True)
    axis = hinted[0] if hinted else _axis_of_shape(batches[0].shape)
    if shape and shape[axis] > 1:
        return ClassAxis(axis, probabilities=False)
    if hint.probabilities is not None:
        return ClassAxis(axis, hint.probabilities)
    inside = all(bool(np.all((part >= 0) & (part <= 1))) for part in batches)
    return ClassAxis(axis, probabilities=inside)


def is_probability(values: NDArray[Any], axis: int = -1) -> bool:
    """Whether values are probabilities: from 0 to 1, with a sum of 1 over several classes.

    Args:
        values: of any shape.
        axis: of the classes.
    """
    if not np.all((values >= 0) & (values <= 1)):
        return False
    if values.shape[axis] == 1:
        return True
    return bool(np.allclose(values.sum(axis=axis, dtype=np.float64), 1, atol=_SUM))


def _is_log_probability(values: NDArray[Any], axis: int) -> bool:
    return bool(np.all(values <= 0)) and is_probability(np.exp(values.astype(np.float64)), axis)


def classes_last(values: Array, axis: int) -> Float64Array:
    """(samples, positions.., classes) from values with their classes along an axis.

    Args:
        values: (samples, ...).
        axis: of the classes, counted from the last.
    """
    y = values.astype(np.float64)
    return y[:, None] if y.ndim == 1 else np.moveaxis(y, axis, -1)


def _axis_of_shape(shape: tuple[int, ...]) -> int:
    """The axis of the classes by the shape (samples, ...), counted from the last.

    Of square maps it is the second, and of others the last where there are fewer classes than rows
    and columns. (n, time, 1, classes) holds one sequence in each sample.
    """
    if len(shape) == 5:
        return -4
    if len(shape) != 4:
        return -1
    _, first, second, third = shape
    if second == 1 and third > 1:
        return -1
    if second == third:
        return -3
    return -1 if first == second or third < min(first, second) else -3
