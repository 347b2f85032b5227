"""Samples as they were read, before they are made to fit the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Indices
from onnx_evoq.batch import Group


@dataclass(frozen=True, eq=False)
class Raw:
    """Samples as they were read, before they are made to fit the model.

    Attributes:
        groups: the samples, with an array for each of the model's inputs.
        labels: (samples, ...), objects where their shapes differ; None where there are none.
        source: the name of the data in messages.
        notes: sentences for the user.
        sized: whether images were already resized and cropped while they were read.
        own: whether the arrays are no one else's, so that they may be changed in place.
    """

    groups: Sequence[Group]
    labels: Array | None
    source: str
    notes: tuple[str, ...] = ()
    sized: bool = False
    own: bool = False


def grouped(parts: Sequence[Mapping[str, NDArray[Any]]]) -> list[Group]:
    """Join samples of one shape, in the order in which the shapes come first.

    Args:
        parts: samples by the name of the input, (samples, ...) each.

    Example:
        >>> parts = [{"x": np.zeros((2, 3))}, {"x": np.zeros((1, 4))}, {"x": np.zeros((1, 3))}]
        >>> [(group.inputs["x"].shape, group.places.tolist()) for group in grouped(parts)]
        [((3, 3), [0, 1, 3]), ((1, 4), [2])]
    """
    groups, start = list[Group](), 0
    for part in parts:
        end = start + len(next(iter(part.values())))
        groups.append(Group(part, np.arange(start, end)))
        start = end
    return joined(groups)


def joined(groups: Sequence[Group]) -> list[Group]:
    """Join groups of one shape; those that have a shape of their own stay as they are."""
    by_shape: dict[tuple[tuple[int, ...], ...], list[Group]] = {}
    for group in groups:
        shapes = tuple(array.shape[1:] for array in group.inputs.values())
        by_shape.setdefault(shapes, []).append(group)
    return [_together(alike) if len(alike) > 1 else alike[0] for alike in by_shape.values()]


def _together(groups: Sequence[Group]) -> Group:
    places: Indices = np.concatenate([group.places for group in groups])
    inputs = {
        name: np.concatenate([group.inputs[name] for group in groups]) for name in groups[0].inputs
    }
    if (np.diff(places) > 0).all():
        return Group(inputs, places)
    order = np.argsort(places)
    return Group({name: array[order] for name, array in inputs.items()}, places[order])


def first(groups: Sequence[Group], count: int) -> list[Group]:
    """The first samples of all groups together."""
    some = []
    for group in groups:
        rows = int(np.searchsorted(group.places, count))
        if rows:
            inputs = {name: array[:rows] for name, array in group.inputs.items()}
            some.append(Group(inputs, group.places[:rows]))
    return some
