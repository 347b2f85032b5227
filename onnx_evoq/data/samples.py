"""Samples that fit a model, and their split into a search set and a held-out set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Indices
from onnx_evoq.batch import Group
from onnx_evoq.errors import DataError


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs for a model, and labels where there are any.

    Attributes:
        groups: the samples, each group of one shape, with (samples, ...) in the model's type for
            each of its inputs.
        labels: (samples, ...) in the order of the samples, objects where their shapes differ; or
            None.
        notes: sentences for the user, about assumptions on the data.
        source: a short name for reports.
        own: whether the inputs are no one else's, so that they may be changed in place.
        otherwise: samples that are drawn in other ways, where the range of inputs is a mere guess.
            The first are as many as these, white and of one amplitude.
    """

    groups: Sequence[Group]
    labels: Array | None = None
    notes: tuple[str, ...] = ()
    source: str = "data"
    own: bool = False
    otherwise: tuple["Samples", ...] = ()

    def __len__(self) -> int:
        return sum(len(group.places) for group in self.groups)

    def part(self, start: int, end: int) -> "Samples":
        """The samples from one place up to another, without a copy."""
        groups = []
        for group in self.groups:
            rows = slice(*np.searchsorted(group.places, (start, end)))
            if rows.start < rows.stop:
                inputs = {name: array[rows] for name, array in group.inputs.items()}
                groups.append(Group(inputs, group.places[rows] - start))
        labels = None if self.labels is None else self.labels[start:end]
        return Samples(groups, labels, self.notes, self.source)

    def reordered(self, order: Indices) -> "Samples":
        """The samples of these indices, in this order; in place if the inputs are its own.

        Args:
            order: (samples,), each index once.
        """
        place = np.argsort(order)  # where each sample goes
        groups = []
        for group in self.groups:
            rows = np.argsort(place[group.places])
            inputs = {
                name: _permuted(array, rows) if self.own else array[rows]
                for name, array in group.inputs.items()
            }
            groups.append(Group(inputs, place[group.places][rows]))
        labels = None if self.labels is None else self.labels[order]
        return Samples(groups, labels, self.notes, self.source, own=True)


def _permuted(array: Array, order: Indices) -> Array:
    """``array[order]`` in the memory of `array`, so that large samples need not fit in twice.

    A permutation consists of cycles: along each of them, one entry after the other takes the place
    of the one before it.
    """
    moved = np.zeros(len(order), np.bool_)
    for start in range(len(order)):
        if moved[start]:
            continue
        first, to = array[start : start + 1].copy()[0], start  # an entry may be text
        while not moved[to]:
            moved[to] = True
            source = order[to]
            array[to] = first if source == start else array[source]
            to = source
    return array


def split(samples: Samples, holdout: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Split samples at random into a search set and a held-out set.

    Both sets are in random order, so that the first samples of a set represent all of it. Where
    samples have several shapes, both sets have small and large ones in the same proportions.

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
    order = rng.permutation(len(samples))
    if len(samples.groups) > 1:
        is_held = _spread(samples, order, held, rng)
        order = np.concatenate([order[is_held], order[~is_held]])
    mixed = samples.reordered(order)
    return mixed.part(held, len(samples)), mixed.part(0, held)


def _spread(
    samples: Samples, order: Indices, held: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which samples of an order are held out, (samples,): at even distances by their size."""
    sizes = np.empty(len(samples), np.intp)
    for group in samples.groups:
        sizes[group.places] = group.values
    by_size = np.argsort(sizes[order], kind="stable")
    is_held = np.zeros(len(samples), np.bool_)
    is_held[by_size[((np.arange(held) + rng.random()) * len(samples) / held).astype(np.intp)]] = (
        True
    )
    return is_held
