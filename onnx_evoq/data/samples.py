"""Samples that fit a model, and their split into a search set and a held-out set."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Array, Indices
from onnx_evoq.errors import DataError


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs for a model, and labels where there are any.

    Attributes:
        inputs: (samples, ...) for each of the model's inputs, in its type.
        labels: (samples, ...) in the order of the inputs, or None.
        notes: sentences for the user, about assumptions on the data.
        source: a short name for reports.
        own: whether the inputs are no one else's, so that they may be changed in place.
    """

    inputs: Mapping[str, Array]
    labels: Array | None = None
    notes: tuple[str, ...] = ()
    source: str = "data"
    own: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def part(self, rows: slice) -> "Samples":
        """Some of the samples, without a copy."""
        labels = None if self.labels is None else self.labels[rows]
        inputs = {name: array[rows] for name, array in self.inputs.items()}
        return Samples(inputs, labels, self.notes, self.source)

    def reordered(self, order: Indices) -> "Samples":
        """The samples of these indices, in this order; in place if the inputs are its own.

        Args:
            order: (samples,), each index once.
        """
        labels = None if self.labels is None else self.labels[order]
        inputs = {
            name: _permuted(array, order) if self.own else array[order]
            for name, array in self.inputs.items()
        }
        return Samples(inputs, labels, self.notes, self.source, own=True)


def _permuted(array: Array, order: Indices) -> Array:
    """``array[order]`` in the memory of `array`, so that large samples need not fit in twice.

    A permutation consists of cycles: along each of them, one entry after the other takes the place
    of the one before it.
    """
    moved = np.zeros(len(order), np.bool_)
    for start in range(len(order)):
        if moved[start]:
            continue
        first, to = array[start].copy(), start
        while not moved[to]:
            moved[to] = True
            source = order[to]
            array[to] = first if source == start else array[source]
            to = source
    return array


def split(samples: Samples, holdout: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Split samples at random into a search set and a held-out set.

    Both sets are in random order, so that the first samples of a set represent all of it.

    Args:
        samples: at least two. If the inputs are their own, they are reordered in place.
        holdout: the share of samples that is held out, in (0, 1). At least one sample is held out,
            and at least one is not.
        rng: draws the held-out samples.

    Returns:
        The search set and the held-out set.

    Raises:
        DataError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise DataError(
            f"{samples.source}: one sample cannot be split into a search set and a held-out set: "
            "give at least two, better a few hundred."
        )
    held = min(max(1, round(len(samples) * holdout)), len(samples) - 1)
    mixed = samples.reordered(rng.permutation(len(samples)))
    return mixed.part(slice(held, None)), mixed.part(slice(held))
